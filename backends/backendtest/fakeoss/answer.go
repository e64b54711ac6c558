package fakeoss

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"net/http"
	"strconv"
	"strings"
)

// fault is a refusal of the service.
type fault struct {
	status        int
	code, message string
}

func invalid(message string) *fault {
	return &fault{http.StatusBadRequest, "InvalidArgument", message}
}

// refuse answers with the error. One of HEAD, which has no body, is in a
// header, as the service has it.
func (c *call) refuse(f *fault) {
	Refuse(c.w, c.r, f.status, f.code, f.message)
}

// Refuse answers a request as the service refuses one.
func Refuse(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	body := encoded(struct {
		XMLName                          xml.Name `xml:"Error"`
		Code, Message, RequestId, HostId string
	}{Code: code, Message: message, RequestId: w.Header().Get("x-oss-request-id"), HostId: r.Host})
	if r.Method == http.MethodHead {
		w.Header().Set("x-oss-err", base64.StdEncoding.EncodeToString(body))
		w.WriteHeader(status)
		return
	}
	if r.ContentLength != 0 {
		w.Header().Set("Connection", "close") // the rest of the body is not read
	}
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func (c *call) answer(v any) *fault {
	body := encoded(v)
	c.w.Header().Set("Content-Type", "application/xml")
	c.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = c.w.Write(body)
	return nil
}

func encoded(v any) []byte {
	var b bytes.Buffer
	b.WriteString(xml.Header)
	if err := xml.NewEncoder(&b).Encode(v); err != nil {
		panic(err) // of types that are all here
	}
	return b.Bytes()
}

// random is n bytes in upper-case hexadecimal.
func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return strings.ToUpper(hex.EncodeToString(b))
}

func requestID() string { return random(12) }
