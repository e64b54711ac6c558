package report

import (
	"cmp"
	"slices"
)

// maxBars is how many repositories a chart names; the others are one bar.
const maxBars = 30

// chart is one measure of the repositories, biggest first.
type chart struct {
	Name   string     `json:"name"`
	Unit   string     `json:"unit"` // bytes or objects
	Rows   []chartRow `json:"rows"`
	Others int        `json:"others"` // repositories that are not named
	Rest   int64      `json:"rest"`   // what they have together
}

type chartRow struct {
	Name  string `json:"name"`
	Value int64  `json:"value"`
}

// chartsOf makes a chart of each measure that was taken. Memory is for maxBars
// names a chart, however many repositories there are.
func chartsOf(repositories *spool) ([]chart, error) {
	all := []chart{{Name: "bytes", Unit: "bytes"}, {Name: "objects"}, {Name: "tags"}, {Name: "manifests"}}
	err := decoded(repositories, func(r Repository) error {
		for i, value := range []int64{r.Bytes, r.Objects, int64(r.Tags), int64(r.Revisions)} {
			all[i].add(chartRow{r.Name, value})
		}
		return nil
	})
	taken := []chart{}
	for _, c := range all {
		if len(c.Rows) > 0 && c.Rows[0].Value > 0 {
			taken = append(taken, c)
		}
	}
	return taken, err
}

func (c *chart) add(r chartRow) {
	i, _ := slices.BinarySearchFunc(c.Rows, r, func(a, b chartRow) int {
		return cmp.Or(cmp.Compare(b.Value, a.Value), cmp.Compare(a.Name, b.Name))
	})
	c.Rows = slices.Insert(c.Rows, i, r)
	if len(c.Rows) > maxBars {
		last := c.Rows[maxBars]
		c.Rows, c.Others, c.Rest = c.Rows[:maxBars], c.Others+1, c.Rest+last.Value
	}
}
