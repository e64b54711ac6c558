// Package browsertest opens pages of ours in headless Chromium and holds
// against them all that a page must not do: raise, log, ask for what it was not
// to ask for, run what is data.
package browsertest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Page is a page in Chromium, with everything it complained of. It is a context
// for chromedp. A page is for one test, and closes when that ends.
type Page struct {
	context.Context

	mu       sync.Mutex
	troubles []string
}

// Open starts Chromium, opens a URL and waits for the page's footer. A request
// that may does not allow is held against the page, and so is a failed one
// unless the page is live: it may outlive its server. Without Chromium the test
// is skipped, or fails where REGFERRY_CI is set.
func Open(t *testing.T, url string, live bool, may func(url string) bool) *Page {
	t.Helper()
	ctx := start(t)
	p := &Page{Context: ctx}
	p.Must(t, chromedp.Listen(ctx, func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			p.trouble("exception: %s %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception)
		case *runtime.EventConsoleAPICalled:
			p.trouble("console: %s of %d values", e.Type, len(e.Args))
		case *log.EventEntryAdded:
			if !live || e.Entry.Source != "network" {
				p.trouble("log: %s %s", e.Entry.Level, e.Entry.Text)
			}
		case *network.EventRequestWillBeSent:
			if !may(e.Request.URL) {
				p.trouble("request: %s", e.Request.URL)
			}
		case *page.EventJavascriptDialogOpening:
			p.trouble("dialog: %s", e.Message)
		}
	}))
	_, err := chromedp.Call(ctx, log.Enable, cdp.Empty{})
	p.Must(t, err)
	_, err = chromedp.Call(ctx, network.Enable, network.EnableParams{})
	p.Must(t, err)
	p.Run(t, chromedp.Navigate(url), chromedp.WaitReady(chromedp.CSS("footer")))
	return p
}

// start starts Chromium, for two minutes at most.
func start(t *testing.T) context.Context {
	t.Helper()
	if testing.Short() {
		t.Skip("-short runs no real programs")
	}
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("REGFERRY_CI") != "" {
			t.Fatal("chromium is not installed: run .ci/tools")
		}
		t.Skip("chromium is not installed: run .ci/tools")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium), chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1280, 900))
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	timeout, cancelTimeout := context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Minute) // cleanup still needs it
	allocator, cancelAllocator := chromedp.NewExecAllocator(timeout, options...)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Logf("ending chromium: %v", err)
		}
		cancel()
		cancelAllocator()
		cancelTimeout()
	})
	return ctx
}

func (p *Page) trouble(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.troubles = append(p.troubles, fmt.Sprintf(format, args...))
}

// Must ends the test at an error, with what the page complained of.
func (p *Page) Must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		t.Fatalf("%v; %q", err, p.troubles)
	}
}

// Run does something on the page.
func (p *Page) Run(t *testing.T, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	p.Must(t, chromedp.Do(p, steps...))
}

// Eval evaluates JavaScript.
func Eval[T any](t *testing.T, p *Page, js string) T {
	t.Helper()
	v, err := chromedp.Run(p, chromedp.Evaluate[T](js))
	p.Must(t, err)
	return v
}

// Text is what a reader sees of an element.
func (p *Page) Text(t *testing.T, selector string) string {
	t.Helper()
	return Eval[string](t, p, fmt.Sprintf(`document.querySelector(%q).innerText`, selector))
}

// Until waits half a minute for a JavaScript condition.
func (p *Page) Until(t *testing.T, condition string) {
	t.Helper()
	err := chromedp.Do(p, chromedp.Poll[chromedp.Void](condition, chromedp.WithPollingInterval(10*time.Millisecond), chromedp.WithPollingTimeout(30*time.Second)))
	if err != nil {
		t.Fatalf("never: %s; the page says %q; %v", condition, p.Text(t, "header"), err)
	}
}

// TabTo presses Tab until the element with the id has the focus.
func (p *Page) TabTo(t *testing.T, id string) {
	t.Helper()
	for range 60 {
		p.Run(t, chromedp.KeyEvent(kb.Tab))
		if Eval[string](t, p, `document.activeElement.id`) == id {
			return
		}
	}
	t.Fatalf("Tab never reaches %s", id)
}

// Picture is the whole page as a PNG, in a window of a width in pixels, light
// or dark. It must fit into the window.
func (p *Page) Picture(t *testing.T, scheme string, width int64) []byte {
	t.Helper()
	_, err := chromedp.Call(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	p.Must(t, err)
	p.Run(t, chromedp.EmulateViewport(width, 900), chromedp.Sleep(400*time.Millisecond))
	picture, err := chromedp.Run(p, chromedp.FullScreenshot(100))
	p.Must(t, err)
	if over := Eval[int](t, p, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); over > 0 {
		t.Errorf("%s, %d pixels: %d wider than the window", scheme, width, over)
	}
	return picture
}

// Quiet wants no complaint, no request but those allowed, no image or frame, and
// none of the scripts that hostile data has: they set window.hurt.
func (p *Page) Quiet(t *testing.T) {
	t.Helper()
	hurt := Eval[bool](t, p, `"hurt" in window || document.querySelectorAll("img, iframe, main script").length > 0`)
	p.mu.Lock()
	defer p.mu.Unlock()
	if hurt || len(p.troubles) > 0 {
		t.Errorf("a script of the data ran, or could: %v; %q", hurt, p.troubles)
	}
}
