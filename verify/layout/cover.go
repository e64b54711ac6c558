package layout

import (
	"iter"
	"slices"
	"strings"
)

// Shards returns the prefixes that share out the sha256 blobs, sorted. They
// have no trailing slash, so that everything that begins so belongs to the
// shard. Blobs of other algorithms are in none.
func Shards() []string {
	const digits = "0123456789abcdef"
	shards := make([]string, 0, 256)
	for _, a := range digits {
		for _, b := range digits {
			shards = append(shards, blobsRoot+"sha256/"+string(a)+string(b))
		}
	}
	return shards
}

// Partitions returns the prefixes that share out the repositories by the first
// letter or digit of their names, sorted. Each key of a repository lies in one.
func Partitions() []string {
	const first = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	parts := make([]string, 0, len(first))
	for _, c := range first {
		parts = append(parts, repositoriesRoot+string(c))
	}
	return parts
}

// Tight returns Shards and Partitions as one Cover.
func Tight() Cover { return append(Cover(Shards()), Partitions()...) }

// Cover is a set of prefixes, sorted, none of which begins with another. One
// who lists each of them finds the keys in between by [Gaps], which with Tight
// is about 35 listings, each of one page.
type Cover []string

// Skip says whether key lies in one of the prefixes, and if so after which
// string to resume the listing. after is never before key, so the loop ends,
// and is before every key that lies in no prefix and comes after key, so
// nothing is missed.
//
// Where prefixes touch (…/00, …/01), so that no string fits between them, Skip
// leaps over all at once; after is then inside the last of them, p.
//
// There is no greatest string that begins with p: p followed by any number of
// 0xff bytes has a greater one. The least string beyond, p with its last byte
// incremented, will not do either: after is exclusive, and a key of exactly
// that name would be missed. So after is p+"~", which is greater than
// every key that a registry makes (letters, digits and ". _ - / :" all sort before "~") and
// which every store's start-after accepts. A stray key beyond it, still below
// p, is listed once more and is answered with a longer leap: to the last code
// point of Unicode, and for keys that are not even UTF-8, over runs of 0xff.
func (c Cover) Skip(key string) (after string, covered bool) {
	i, found := slices.BinarySearch(c, key)
	if !found {
		i--
	}
	if i < 0 || !strings.HasPrefix(key, c[i]) {
		return "", false
	}
	for i+1 < len(c) && c[i+1] == next(c[i]) {
		i++
	}
	for _, stop := range [...]string{"~", "\U0010FFFF"} {
		if after = c[i] + stop; after > key {
			return after, true
		}
	}
	// key begins with c[i] here: any prefix leapt to would have been greater.
	return c[i] + strings.Repeat("\xff", 2*(len(key)-len(c[i]))), true
}

// next returns the least string that is greater than all that begin with p,
// "" if there is none.
func next(p string) string {
	n := len(p)
	for n > 0 && p[n-1] == 0xff {
		n--
	}
	if n == 0 {
		return ""
	}
	return p[:n-1] + string([]byte{p[n-1] + 1})
}

// Gaps yields what lies in none of the prefixes: it lists, by list, from the
// beginning, and after each prefix again, so that costs a listing's start for
// each prefix it leaps over. key is that of what list yields. An error is the
// last that comes.
func Gaps[T any](c Cover, list func(after string) iter.Seq2[T, error], key func(T) string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for after, more := "", true; more; {
			more = false
			for v, err := range list(after) {
				if err != nil {
					yield(v, err)
					return
				}
				if next, covered := c.Skip(key(v)); covered {
					after, more = next, true
					break
				}
				if !yield(v, nil) {
					return
				}
			}
		}
	}
}
