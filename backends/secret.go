package backends

import "fmt"

// Secret is text, such as a password, that is not printed, by no verb of fmt and no encoder.
type Secret string

const hidden = "(hidden)"

// Format writes that there is something, for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// String is empty for no secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// MarshalText is what JSON and YAML encoders, and log/slog, write.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
