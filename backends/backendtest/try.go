package backendtest

import (
	"time"

	"github.com/regferry/regferry/backends"
)

var tryCases = []testcase{
	{"Try says that it works and leaves nothing", tryAll},
}

// tryAll is for stores that have the power.
func tryAll(r *run) {
	p := backends.PowersOf(r.s)
	if p.Trier == nil {
		r.Skip("the store tries nothing")
	}
	var trial backends.Trial
	err := r.within("Try", func() (err error) {
		trial, err = p.Trier.Try(r.ctx)
		return err
	})
	if err != nil || trial.Stays != nil || trial.Took <= 0 || trial.Clock.Abs() > 2*time.Second {
		r.Errorf("Try: %+v, %v", trial, err)
	}
	for o, err := range r.s.List(r.ctx, "", "") {
		r.Errorf("after Try there is %q, %v", o.Key, err)
	}
	if p.Cautioner != nil {
		for _, text := range p.Cautioner.Cautions(r.ctx) {
			if text == "" {
				r.Errorf("an empty caution")
			}
		}
	}
}
