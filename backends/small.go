package backends

import (
	"context"
	"errors"
	"fmt"
	"io"
)

var errNotSmall = Refuse(Unsupported, fmt.Sprintf("a small object has at most %d bytes", SmallMost))

// CheckSmall refuses what a [ConditionalPutter] does not write.
func CheckSmall(ctx context.Context, content []byte) error {
	if len(content) > SmallMost {
		return errNotSmall
	}
	return ctx.Err()
}

// ReadSmall reads b to its end and closes it. What a [ConditionalPutter] would
// not have written is refused.
func ReadSmall(b io.ReadCloser) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(b, SmallMost+1))
	if err = errors.Join(err, b.Close()); err != nil {
		return nil, err
	}
	if len(content) > SmallMost {
		return nil, errNotSmall
	}
	return content, nil
}
