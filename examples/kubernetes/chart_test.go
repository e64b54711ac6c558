package kubernetes

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// render is helm template RELEASE chart --namespace msr --values VALUES, without what
// Helm leaves out of it. The notes come apart.
func render(release, values string) (text, notes string, err error) {
	chart, err := loader.Load("chart")
	if err != nil {
		return "", "", err
	}
	var user map[string]any
	if err := yaml.Unmarshal([]byte(values), &user); err != nil {
		return "", "", err
	}
	all, err := util.ToRenderValues(chart, user, common.ReleaseOptions{Name: release, Namespace: "msr", IsInstall: true, Revision: 1}, nil)
	if err != nil {
		return "", "", err
	}
	files, err := engine.Render(chart, all)
	if err != nil {
		return "", "", err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		switch {
		case strings.HasSuffix(name, "NOTES.txt"):
			notes = files[name]
		case strings.HasSuffix(name, ".yaml"):
			text += "\n---\n" + files[name]
		}
	}
	return text, notes, nil
}

// same are the values that make the plain manifests, but for what to do.
const same = `
from: {location: /storage, claim: msr}
to: {location: "s3://images/msr?region=eu-central-1"}
registry: {labels: {app.kubernetes.io/component: registry}}
credentials: {secret: regferry-credentials}
`

const everything = `
verify: {enabled: true}
serviceMonitor: {enabled: true}
prometheusRule: {enabled: true}
`

// The chart makes the plain manifests: neither can be changed without the other.
func TestChartMakesTheManifests(t *testing.T) {
	made := map[string]runtime.Object{}
	for _, what := range []string{"migrate", "mirror"} {
		text, _, err := render("regferry", same+everything+what+": {enabled: true}\n")
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objectsIn(t, "chart", text) {
			made[nameOf(o)] = o
		}
	}
	for _, o := range plain(t) {
		got, ok := made[nameOf(o)]
		if !ok {
			t.Errorf("the chart makes no %s", nameOf(o))
			continue
		}
		delete(made, nameOf(o))
		if want, got := comparable(t, o), comparable(t, got); !reflect.DeepEqual(want, got) {
			t.Errorf("%s:\n%s\nthe chart's:\n%s", nameOf(o), text(t, want), text(t, got))
		}
	}
	for name := range made {
		t.Errorf("only the chart makes %s", name)
	}
}

// comparable is the object without what only Helm wants, and without the
// namespace that the chart's alerts name: a plain manifest knows none.
func comparable(t *testing.T, o runtime.Object) (m map[string]any) {
	t.Helper()
	s := strings.NewReplacer(`{namespace=\"msr\"}`, "", `namespace=\"msr\",`, "").Replace(text(t, o))
	if err := json.Unmarshal([]byte(s), &m); err != nil {
		t.Fatal(err)
	}
	strip(m)
	return m
}

func strip(v any) {
	m, ok := v.(map[string]any)
	if !ok {
		return
	}
	for _, name := range []string{"helm.sh/chart", "app.kubernetes.io/managed-by", "helm.sh/resource-policy"} {
		delete(m, name)
	}
	for name, child := range m {
		strip(child)
		if name == "annotations" && len(child.(map[string]any)) == 0 {
			delete(m, name)
		}
	}
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// renderings are ways to use the chart, each with what it must and must not make.
var renderings = map[string]struct {
	values    string
	want, not []string
}{
	"everything, off the defaults": {
		values: same + everything + `
mirror: {enabled: true, interval: 30s, delete: {enabled: true, after: 48h, max: "5,1%"}, args: [--pprof], state: {size: 5Gi, storageClass: fast}}
dashboard: {enabled: true}
image: {digest: "sha256:0123456789012345678901234567890123456789012345678901234567890123", pullPolicy: Always, pullSecrets: [{name: pull}]}
caConfigMap: private-ca
credentials: {secret: regferry-credentials, files: keyfile}
env: [{name: GOOGLE_APPLICATION_CREDENTIALS, value: /secrets/key.json}]
nodeSelector: {disk: ssd}
tolerations: [{key: images, operator: Exists}]
serviceAccount: {annotations: {eks.amazonaws.com/role-arn: "arn:aws:iam::1:role/a"}}
`,
		want: []string{"--delete-after=48h", "--max-delete=5,1%", "--interval=30s", "--pprof", "storageClassName: fast", "@sha256:0123", "SSL_CERT_DIR", "secretName: keyfile", "role-arn", "grafana_dashboard"},
		not:  []string{"kind: Job"},
	},
	"nothing is deleted unless asked for": {
		values: same + "mirror: {enabled: true}", not: []string{"--delete", "kind: CronJob", "ServiceMonitor", "PrometheusRule", "ConfigMap"},
	},
	"the last run": {
		values: same + "migrate: {enabled: true, run: 2, final: true, args: [--repository=team/**]}", want: []string{"name: regferry-migrate-2", "- --final", "--repository=team/**"}, not: []string{"kind: Deployment"},
	},
	"from a bucket to a volume": {
		values: `
from: {location: "s3://images/msr?region=eu-central-1"}
to: {location: /destination, claim: msr}
user: 1000
group: 1000
migrate: {enabled: true}
networkPolicy: {enabled: false}
serviceAccount: {create: false, name: theirs}
`,
		want: []string{"mountPath: /destination", "runAsUser: 1000", "serviceAccountName: theirs"}, not: []string{"envFrom", "affinity", "NetworkPolicy", "ServiceAccount\n"},
	},
	"a volume that any node may mount": {
		values: same + "registry: {sameNode: false}\nmigrate: {enabled: true}", not: []string{"podAffinity"},
	},
}

func TestChart(t *testing.T) {
	for name, c := range renderings {
		t.Run(name, func(t *testing.T) {
			for _, release := range []string{"regferry", "second", strings.Repeat("long", 13)} {
				text, notes, err := render(release, merged(c.values))
				if err != nil {
					t.Fatal(err)
				}
				objects := objectsIn(t, name, text)
				checkAll(t, objects)
				checkSelectors(t, objects)
				if !strings.Contains(notes, "kubectl -n msr") || strings.Contains(notes, "<no value>") {
					t.Errorf("notes: %s", notes)
				}
				if release != "regferry" {
					continue
				}
				for _, w := range c.want {
					if !strings.Contains(text, w) {
						t.Errorf("%q is missing in %s", w, text)
					}
				}
				for _, w := range c.not {
					if strings.Contains(text, w) {
						t.Errorf("%q is in %s", w, text)
					}
				}
			}
		})
	}
}

// merged lets a key at the top be given twice: the last one wins.
func merged(values string) string {
	all := map[string]any{}
	for _, line := range strings.SplitAfter(values, "\n") {
		var m map[string]any
		if yaml.Unmarshal([]byte(line), &m) == nil {
			maps.Copy(all, m)
		}
	}
	b, _ := yaml.Marshal(all)
	return string(b)
}

// checkSelectors: a workload and its pods agree, and names are short enough for the
// pods that they get.
func checkSelectors(t *testing.T, objects []runtime.Object) {
	t.Helper()
	for _, o := range objects {
		_, name, _ := strings.Cut(nameOf(o), "/")
		if _, job := o.(*batch.CronJob); len(name) > 63 || job && len(name) > 52 {
			t.Errorf("%s: too long", nameOf(o))
		}
		if d, ok := o.(*apps.Deployment); ok && !reflect.DeepEqual(d.Spec.Selector.MatchLabels, d.Spec.Template.Labels) {
			t.Errorf("%v selects not %v", d.Spec.Selector.MatchLabels, d.Spec.Template.Labels)
		}
	}
}

// Mistakes are refused before anything is made, with a word on what is wrong.
func TestChartRefuses(t *testing.T) {
	for name, c := range map[string]struct{ values, want string }{
		"no places":         {"mirror: {enabled: true}", "/from/location"},
		"nothing to do":     {same, "nothing to do"},
		"two writers":       {same + "mirror: {enabled: true}\nmigrate: {enabled: true}", "both write the destination"},
		"a misspelt key":    {same + "mirror: {enabled: true, intervall: 5m}", "intervall"},
		"a misspelt top":    {same + "mirrors: {enabled: true}", "mirrors"},
		"no duration":       {same + "mirror: {enabled: true, interval: 5}", "interval"},
		"half a guard":      {same + "mirror: {enabled: true, delete: {enabled: true, max: '100'}}", "/mirror/delete/max"},
		"root":              {same + "mirror: {enabled: true}\nuser: 0", "/user"},
		"no flag":           {same + "mirror: {enabled: true, args: [delete]}", "/mirror/args"},
		"a digest cut off":  {same + "mirror: {enabled: true}\nimage: {digest: 'sha256:12'}", "/image/digest"},
		"no token":          {same + "mirror: {enabled: true, eventsSecret: ''}", "eventsSecret"},
		"a level of verify": {same + "verify: {enabled: true, level: all}", "/verify/level"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := render("regferry", c.values)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one about %q", err, c.want)
			}
		})
	}
}
