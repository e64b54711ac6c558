package parts

import (
	"cmp"
	"time"
)

// Sizes are the options of memory and time that all drivers have.
type Sizes struct {
	PartSize int64         // bytes
	Parallel int           // parts of one object under way at once
	Memory   int64         // bytes of content held by all Puts together
	Dead     time.Duration // age from which on something unfinished is of a dead run
}

// WithDefaults fills in 16 MiB, 4, 128 MiB (but one part at least) and 24 h.
func (s Sizes) WithDefaults() Sizes {
	return Sizes{
		PartSize: cmp.Or(s.PartSize, 16<<20), Parallel: cmp.Or(max(s.Parallel, 0), 4),
		Memory: max(cmp.Or(s.Memory, 128<<20), cmp.Or(s.PartSize, 16<<20)), Dead: cmp.Or(s.Dead, 24*time.Hour),
	}
}
