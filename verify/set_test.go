package verify

import (
	"strconv"
	"testing"

	"github.com/opencontainers/go-digest"
)

func TestSet(t *testing.T) {
	const n = 50_000
	d := func(i int) digest.Digest { return digest.FromString(strconv.Itoa(i)) }
	var s Set
	s.Remove(d(0))
	if s.Has(d(0)) {
		t.Fatal("an empty set has something")
	}
	for i := range n {
		s.Add(d(i))
		s.Add(d(i))
	}
	for i := range n {
		if i%2 == 0 {
			s.Remove(d(i))
		}
	}
	for i := range 2 * n {
		if want := i < n && i%2 == 1; s.Has(d(i)) != want {
			t.Fatalf("Has(%d) = %v after removing the even ones below %d", i, !want, n)
		}
	}
	if s.n != n/2 {
		t.Errorf("it counts %d digests, want %d", s.n, n/2)
	}
}

func BenchmarkSetAdd(b *testing.B) {
	var s Set
	b.ReportAllocs()
	for i := range b.N {
		s.Add(digest.Digest("sha256:" + strconv.Itoa(i)))
	}
	room := 0
	for _, v := range s.buckets {
		room += 8*cap(v) + 24
	}
	b.ReportMetric(float64(room)/float64(b.N), "bytes/digest")
}
