package verify

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
)

// Sample chooses some blobs by their digests, so that every run with the same
// Sample chooses the same. The zero value chooses all.
//
// The digests are a circle of a million places. Round k takes the arc that
// begins where round k-1 ended, so ceil(100/percent) rounds in a row miss none.
type Sample struct {
	perMillion uint64
	Round      uint64
}

// ParseSample reads the flags --sample, such as "5%" or "0.1%", and
// --sample-round.
func ParseSample(percent string, round uint64) (Sample, error) {
	if percent == "" {
		return Sample{}, nil
	}
	f, err := strconv.ParseFloat(strings.TrimSuffix(percent, "%"), 64)
	s := Sample{perMillion: uint64(f*1e4 + 0.5), Round: round}
	if err != nil || !(f > 0 && f <= 100) || s.perMillion == 0 {
		return Sample{}, fmt.Errorf("--sample %q: give a share above 0%% and up to 100%%, for example --sample 5%%", percent)
	}
	return s, nil
}

// Check refuses a share above all.
func (s Sample) Check() error {
	if s.perMillion > million {
		return fmt.Errorf("a sample of %d in a million", s.perMillion)
	}
	return nil
}

// Rounds is how many rounds in a row cover everything.
func (s Sample) Rounds() uint64 {
	if s.perMillion == 0 {
		return 1
	}
	return (million + s.perMillion - 1) / s.perMillion
}

const million = 1_000_000

// Has says whether d is chosen. A digest that is not hexadecimal always is.
func (s Sample) Has(d digest.Digest) bool {
	if s.perMillion == 0 || s.perMillion == million {
		return true
	}
	_, hex, _ := strings.Cut(string(d), ":")
	// 40 bits: the product with a million fits in 64.
	u, err := strconv.ParseUint(hex[:min(10, len(hex))], 16, 64)
	if err != nil || len(hex) < 10 {
		return true
	}
	at := u * million >> 40
	begin := (s.Round % million) * s.perMillion % million
	return (at+million-begin)%million < s.perMillion
}
