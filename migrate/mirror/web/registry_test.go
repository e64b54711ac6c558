package web

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/regferry/regferry/backends/backendtest/servers"
)

// Real registries send what their configuration says, with the token in a
// header, and what comes names the repositories that were pushed to.
func TestRegistriesNotify(t *testing.T) {
	if testing.Short() {
		t.Skip("-short runs no real programs")
	}
	for _, v := range []servers.Version{servers.Version283, servers.Version3} {
		t.Run(string(v), func(t *testing.T) {
			dir := t.TempDir()
			write(t, join(dir, "token"), "secret\n")
			source := &scripted{room: 1000}
			s, _ := serve(t, Options{Source: source, TokenFile: join(dir, "token")})
			r := servers.Registry(t, v, join(dir, "registry"), fmt.Sprintf(
				"REGISTRY_NOTIFICATIONS_ENDPOINTS=[{name: regferry, url: %q, timeout: 1s, threshold: 3, backoff: 1s, headers: {Authorization: [Bearer secret]}}]", s.URL()+"/events"))
			layer := join(dir, "layer.tar")
			servers.Tar(t, layer, map[string]string{"a": "b"})
			for _, name := range []string{"team/app", "other"} {
				servers.Crane(t, "append", "-f", layer, "-t", r.Addr+"/"+name+":v1")
			}
			heard := func(name string) (is bool) {
				source.set(func() { is = slices.Contains(source.hints, name) })
				return is
			}
			for begin := time.Now(); !heard("team/app") || !heard("other"); time.Sleep(20 * time.Millisecond) {
				if time.Since(begin) > 20*time.Second {
					t.Fatalf("after 20 s only %q was heard of", source.hints)
				}
			}
		})
	}
}
