package swift

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/ncw/swift/v2"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

// answer is what a service said instead of doing what was asked.
type answer struct {
	status  int
	text    string // of its body, without markup
	request string // its name for the request
	err     error
}

func (a *answer) Unwrap() error { return a.err }

func (a *answer) Error() string {
	text := a.text
	if text == "" {
		text = http.StatusText(a.status)
	}
	if a.status == 0 {
		return text
	}
	text = fmt.Sprintf("%s [HTTP %d", text, a.status)
	if a.request != "" {
		text += ", request " + a.request
	}
	return text + "]"
}

// broken is a request without an answer. It leaves out the address, which names
// the object again.
type broken struct{ err error }

func (b *broken) Error() string { return b.err.Error() }
func (b *broken) Unwrap() error { return b.err }

// shorten makes an answer of what the library says, which has the status twice
// and the page of a web server behind it.
func shorten(err error, headers swift.Headers) error {
	var said *swift.Error
	if !errors.As(err, &said) {
		var at *url.Error
		if errors.As(err, &at) {
			return &broken{at.Err}
		}
		return err
	}
	body := strings.TrimPrefix(strings.TrimPrefix(err.Error(), said.Text), ": ")
	a := &answer{status: said.StatusCode, text: plainText(body), request: headers["X-Trans-Id"], err: err}
	if a.text == "" && !strings.HasPrefix(said.Text, "HTTP Error") {
		a.text = said.Text
	}
	return a
}

// plainText is the start of a body without markup and control characters.
func plainText(body string) string {
	var b strings.Builder
	depth := 0
	for _, c := range body {
		switch {
		case c == '<':
			depth++
			b.WriteByte(' ')
		case c == '>' && depth > 0:
			depth--
		case depth > 0:
		case c <= ' ' || c == 0x7f:
			b.WriteByte(' ')
		case c < 0x7f:
			b.WriteRune(c)
		}
	}
	text := strings.Join(strings.Fields(b.String()), " ")
	if len(text) > 200 {
		text = text[:200] + "..."
	}
	return strings.TrimSuffix(text, ".")
}

// statusOf is 0 for what is no answer.
func statusOf(err error) int {
	var a *answer
	if errors.As(err, &a) {
		return a.status
	}
	return 0
}

// again says whether the same request may well be answered in a moment.
func again(err error) bool {
	if err == nil {
		return false
	}
	if errors.As(err, new(*tls.CertificateVerificationError)) {
		return false
	}
	switch class := classOf(err); class {
	case backends.Throttled, backends.Transient:
		return true
	}
	return false
}

func fail(op, key string, err error) error {
	return &backends.Error{Op: op, Key: key, Class: classOf(err), Err: err}
}

func classOf(err error) backends.Class {
	if class, ok := backends.OwnClass(err); ok {
		return class
	}
	var (
		said  *answer
		onNet net.Error
		login *loginError
	)
	switch {
	case errors.As(err, &said):
		class := classOfStatus(said.status)
		if errors.As(err, &login) && class != backends.Transient && class != backends.Throttled {
			return backends.Denied // of the identity service, not of an object
		}
		return class
	case errors.As(err, new(*tls.CertificateVerificationError)):
		return backends.Denied
	case errors.As(err, new(*broken)), errors.As(err, &onNet), errors.Is(err, io.ErrUnexpectedEOF):
		return backends.Transient
	}
	return backends.Unknown
}

func classOfStatus(status int) backends.Class {
	switch status {
	case http.StatusUnprocessableEntity:
		return backends.Corrupt
	case 498: // Swift's own ratelimit
		return backends.Throttled
	case http.StatusServiceUnavailable, 499:
		return backends.Transient
	case http.StatusRequestEntityTooLarge: // a quota: what is too large is not sent
		return backends.Full
	}
	return parts.ClassOfStatus(status)
}
