package verify

import (
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// Successive rounds, from wherever they begin, miss no digest; each takes its
// share.
func TestSampleRoundsCoverAll(t *testing.T) {
	const n = 10_000
	all := make([]digest.Digest, n)
	for i := range all {
		all[i] = digest.FromString(fmt.Sprint(i))
	}
	for _, percent := range []string{"100%", "50%", "30%", "7%", "33.3", "2.5%"} {
		for _, from := range []uint64{0, 3, 1<<63 + 7} {
			s, err := ParseSample(percent, 0)
			if err != nil {
				t.Fatal(err)
			}
			seen := make([]bool, n)
			for round := range s.Rounds() {
				s.Round = from + round
				took := 0
				for i, d := range all {
					if s.Has(d) {
						seen[i] = true
						took++
					}
				}
				if share := float64(took) / n * 1e6; share < float64(s.perMillion)*0.7 || share > float64(s.perMillion)*1.3 {
					t.Errorf("%s: round %d takes %d of %d", percent, round, took, n)
				}
			}
			for i, ok := range seen {
				if !ok {
					t.Fatalf("%s from %d: %d rounds miss number %d", percent, from, s.Rounds(), i)
				}
			}
		}
	}
}

func TestSampleOfAll(t *testing.T) {
	var all Sample
	half, err := ParseSample("50%", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []digest.Digest{"", "x", "sha256:", "sha256:zz", digest.FromString("x")} {
		if !all.Has(d) {
			t.Errorf("all but %q", d)
		}
		_ = half.Has(d) // must not panic
	}
	for _, bad := range []string{"0%", "-1%", "101%", "x", "%", "NaN", "0.00001%", "Inf"} {
		if _, err := ParseSample(bad, 0); err == nil || !strings.Contains(err.Error(), "--sample 5%") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestParseImages(t *testing.T) {
	sum := "sha256:" + strings.Repeat("0123456789abcdef", 4)
	got, err := ParseImages(strings.NewReader("# exported\n\n  team/app:1.0@" + sum + "  \r\nhost:5000@" + sum + "\n"))
	if err != nil || len(got) != 2 || got[0] != (Image{"team/app", "1.0", digest.Digest(sum)}) || got[1].Tag != "5000" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{
		"team/app:1.0", "team/app@" + sum, "team/app:1.0@sha256:x", "team/app:1.0@" + sum + "0", ":1@" + sum, "a:@" + sum,
		"a/../b:1@" + sum, "a:b/c@" + sum, "a b:1@" + sum, "_x:1@" + sum, "<b>:1@" + sum, "a:1@" + sum + " x", strings.Repeat("x", 1<<20),
	} {
		_, err := ParseImages(strings.NewReader("a:1@" + sum + "\n" + bad + "\n"))
		if err == nil || len(bad) < 1000 && !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%.50q: %v", bad, err)
		}
		if err != nil && len(err.Error()) > 1000 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	}
}
