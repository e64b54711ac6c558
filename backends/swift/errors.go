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
	front   bool   // said by something in front of the service, see named
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
	if text += "]"; a.front {
		text += "; not by the service, whose answers have a name: something in front of it says so, and nobody has looked for the object"
	}
	return text
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
	a := &answer{status: said.StatusCode, text: plainText(body), request: requestName(headers), err: err}
	if a.text == "" && !strings.HasPrefix(said.Text, "HTTP Error") {
		a.text = said.Text
	}
	return a
}

// requestName is what the service calls a request: Swift sends both of the first
// two with each answer, as Ceph does to Swift's protocol; what Ceph does not take
// for that protocol has the third.
func requestName(headers swift.Headers) string {
	return first(headers["X-Trans-Id"], headers["X-Openstack-Request-Id"], headers["X-Amz-Request-Id"])
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

// statusOf is 0 for what is no answer of the service to the request: nothing
// that is said of a login, or by what is in front, is said of an object.
func statusOf(err error) int {
	var a *answer
	if !errors.As(err, &a) || a.front || errors.As(err, new(*loginError)) {
		return 0
	}
	return a.status
}

// unsure is a failure of a request of which an earlier try had no clear answer:
// that one may have been done.
type unsure struct{ err error }

func (u *unsure) Error() string { return u.err.Error() }
func (u *unsure) Unwrap() error { return u.err }

// refused says whether a request was turned away, each time, so that it is
// surely not done.
func refused(err error) bool {
	status := statusOf(err)
	return status >= 400 && status < 500 && status != http.StatusRequestTimeout && status != 499 && !errors.As(err, new(*unsure))
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
		if said.front {
			return backends.Transient
		}
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
