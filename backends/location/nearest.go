package location

import (
	"fmt"
	"slices"
	"strings"
)

// didYouMean is empty where no known name is near.
func didYouMean(name string, known []string) string {
	if n := nearest(name, known); n != "" {
		return fmt.Sprintf(", did you mean %s?", n)
	}
	return ""
}

// DidYouMean is the end of a sentence that names the known name which was
// probably meant, empty where none is near.
func DidYouMean(name string, known []string) string { return didYouMean(name, known) }

// nearest is the known name that is fewest slips away, if that is few enough
// for its length: one for each three letters, and one more.
func nearest(name string, known []string) string {
	best, least := "", 0
	if len(name) > 64 {
		return ""
	}
	low := strings.ToLower(name)
	for _, k := range slices.Sorted(slices.Values(known)) {
		d := distance(low, strings.ToLower(k))
		if d <= 1+min(len(k), len(name))/3 && (best == "" || d < least) {
			best, least = k, d
		}
	}
	return best
}

// distance counts the letters to insert, to leave out or to change, and the
// neighbours to exchange, that make b of a.
func distance(a, b string) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}
