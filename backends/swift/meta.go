package swift

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

const metaHeader = "X-Object-Meta-"

// metadata reads what metaHeaders wrote. A header's name loses its case and,
// in a Python server, the difference between - and _, so other characters than
// lower-case letters and digits are written as - and two digits.
func metadata(h http.Header) map[string]string {
	var all map[string]string
	for name, values := range h {
		escaped, ok := strings.CutPrefix(name, metaHeader)
		if !ok {
			continue
		}
		value, err := url.PathUnescape(values[0])
		if err != nil {
			value = values[0]
		}
		if all == nil {
			all = make(map[string]string)
		}
		all[unescaped(strings.ToLower(escaped))] = value
	}
	return all
}

func metaHeaders(all, headers map[string]string) {
	for name, value := range all {
		headers[metaHeader+escaped(name)] = url.PathEscape(value)
	}
}

func escaped(name string) string {
	var b strings.Builder
	for _, c := range []byte(name) {
		if 'a' <= c && c <= 'z' || '0' <= c && c <= '9' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "-%02x", c)
		}
	}
	return b.String()
}

func unescaped(name string) string {
	var b []byte
	for i := 0; i < len(name); i++ {
		if name[i] == '-' && i+2 < len(name) {
			if c, err := strconv.ParseUint(name[i+1:i+3], 16, 8); err == nil {
				b = append(b, byte(c))
				i += 2
				continue
			}
		}
		b = append(b, name[i])
	}
	return string(b)
}
