// Package kubernetes holds manifests and a chart, and these tests of them. It is a
// module of its own: nobody who builds regferry downloads Kubernetes for it.
//
// The plain manifests are the truth: the test of the chart wants it to make the
// same from values, and cmd/regferry's TestCommandsInDocuments parses their
// command lines.
package kubernetes

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/prometheus/prometheus/promql/parser"
	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	network "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kjson "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"sigs.k8s.io/yaml"
)

// metrics are those of package meter's documentation, which its own tests hold
// against what it exports, with their labels. What is misspelt in an expression
// is missing here, and nothing else would tell.
func metrics(t *testing.T) map[string][]string {
	t.Helper()
	doc, err := os.ReadFile("../../migrate/mirror/meter/doc.go")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]string)
	for _, m := range regexp.MustCompile(`(?m)^//\t(regferry_\w+) (?:gauge|counter) ([\w,]+): `).FindAllStringSubmatch(string(doc), -1) {
		all[m[1]] = strings.Split(m[2], ",")
	}
	if len(all) < 20 {
		t.Fatalf("the documentation of meter names %d metrics", len(all))
	}
	return all
}

// decoder knows every kind that is here, and refuses fields that it does not know.
var decoder = func() runtime.Decoder {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{apps.AddToScheme, batch.AddToScheme, core.AddToScheme, network.AddToScheme, monitoring.AddToScheme} {
		if err := add(s); err != nil {
			panic(err)
		}
	}
	return kjson.NewSerializerWithOptions(kjson.DefaultMetaFactory, s, s, kjson.SerializerOptions{Yaml: true, Strict: true})
}()

// objectsIn decodes the documents of a stream of YAML.
func objectsIn(t *testing.T, name, text string) (all []runtime.Object) {
	t.Helper()
	for _, doc := range strings.Split("\n"+text, "\n---") {
		var content map[string]any
		if err := yaml.Unmarshal([]byte(doc), &content); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, doc)
		}
		if len(content) == 0 {
			continue // comments
		}
		o, _, err := decoder.Decode([]byte(doc), nil, nil)
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, doc)
			continue
		}
		all = append(all, o)
	}
	return all
}

// plain are the objects of the manifests beside this file.
func plain(t *testing.T) (all []runtime.Object) {
	t.Helper()
	files, err := filepath.Glob("*.yaml")
	if err != nil || len(files) != 5 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, objectsIn(t, f, string(b))...)
	}
	return all
}

// podOf is the pod that an object makes, nil if it makes none.
func podOf(o runtime.Object) *core.PodTemplateSpec {
	switch o := o.(type) {
	case *batch.Job:
		return &o.Spec.Template
	case *batch.CronJob:
		return &o.Spec.JobTemplate.Spec.Template
	case *apps.Deployment:
		return &o.Spec.Template
	}
	return nil
}

func nameOf(o runtime.Object) string {
	return o.GetObjectKind().GroupVersionKind().Kind + "/" + o.(meta.Object).GetName()
}

// A field that does not exist is refused: else the tests below prove little.
func TestDecodingIsStrict(t *testing.T) {
	for _, doc := range []string{
		"apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {port: 1}",
		"apiVersion: v1\nkind: Service\nmetadata: {name: a, name: b}",
		"apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata: {name: a}\nspec: {groups: [{name: a, rule: []}]}",
	} {
		if _, _, err := decoder.Decode([]byte(doc), nil, nil); err == nil {
			t.Errorf("decoded: %s", doc)
		}
	}
}

func TestManifests(t *testing.T) {
	objects := plain(t)
	if len(objects) != 12 {
		t.Errorf("%d objects", len(objects))
	}
	checkAll(t, objects)
}

// checkAll is what holds for the objects of the manifests and of any rendering.
func checkAll(t *testing.T, objects []runtime.Object) {
	t.Helper()
	claims, seen := map[string]bool{}, map[string]bool{}
	for _, o := range objects {
		if seen[nameOf(o)] {
			t.Errorf("%s is there twice", nameOf(o))
		}
		seen[nameOf(o)] = true
		if c, ok := o.(*core.PersistentVolumeClaim); ok {
			claims[c.Name] = true
		}
	}
	for _, o := range objects {
		if p := podOf(o); p != nil {
			checkRestricted(t, nameOf(o), p.Spec)
			checkMounts(t, nameOf(o), p.Spec, claims)
		}
		switch o := o.(type) {
		case *core.Secret:
			t.Errorf("Secret %s is in a file", o.Name)
		case *apps.Deployment:
			if o.Spec.Strategy.Type != apps.RecreateDeploymentStrategyType || *o.Spec.Replicas != 1 {
				t.Errorf("%s: two may write at once", o.Name)
			}
		case *batch.Job:
			checkRetries(t, o.Name, o.Spec, []int32{2, 5, 6}, 1, 7, 137)
		case *batch.CronJob:
			checkRetries(t, o.Name, o.Spec.JobTemplate.Spec, []int32{2, 3, 4, 6}, 7)
		case *monitoring.PrometheusRule:
			for _, r := range o.Spec.Groups[0].Rules {
				checkExpression(t, r.Expr.String())
			}
		}
	}
}

// checkRestricted is the Pod Security Standard "restricted", and more: a number for the
// user, a root file system that cannot be written, no token.
func checkRestricted(t *testing.T, name string, p core.PodSpec) {
	t.Helper()
	c := p.Containers[0]
	s, cs := p.SecurityContext, c.SecurityContext
	for what, ok := range map[string]bool{
		"runs as root":              s != nil && s.RunAsNonRoot != nil && *s.RunAsNonRoot && s.RunAsUser != nil && *s.RunAsUser > 0,
		"has no seccomp profile":    s != nil && s.SeccompProfile != nil && s.SeccompProfile.Type == core.SeccompProfileTypeRuntimeDefault,
		"may escalate":              cs != nil && cs.AllowPrivilegeEscalation != nil && !*cs.AllowPrivilegeEscalation,
		"may write its root":        cs != nil && cs.ReadOnlyRootFilesystem != nil && *cs.ReadOnlyRootFilesystem,
		"has capabilities":          cs != nil && cs.Capabilities != nil && slices.Equal(cs.Capabilities.Drop, []core.Capability{"ALL"}) && len(cs.Capabilities.Add) == 0,
		"gets a token":              p.AutomountServiceAccountToken != nil && !*p.AutomountServiceAccountToken,
		"is on the host":            !p.HostNetwork && !p.HostPID && !p.HostIPC,
		"has no bound of memory":    !c.Resources.Limits.Memory().IsZero(),
		"is more than a container":  len(p.Containers) == 1 && len(p.InitContainers) == 0,
		"hides why it ended":        c.TerminationMessagePolicy == core.TerminationMessageFallbackToLogsOnError,
		"is restarted in its place": p.RestartPolicy == core.RestartPolicyNever || p.RestartPolicy == "",
	} {
		if !ok {
			t.Errorf("%s %s", name, what)
		}
	}
	for _, v := range p.Volumes {
		if v.HostPath != nil {
			t.Errorf("%s mounts the host's %s", name, v.HostPath.Path)
		}
	}
}

// checkMounts: the source is read-only both as a volume, which keeps fsGroup off
// it, and as a mount; claims of its own exist; each path in the arguments is
// below a mount.
func checkMounts(t *testing.T, name string, p core.PodSpec, claims map[string]bool) {
	t.Helper()
	mounts := map[string]core.VolumeMount{}
	for _, m := range p.Containers[0].VolumeMounts {
		mounts[m.Name] = m
	}
	for _, v := range p.Volumes {
		m, ok := mounts[v.Name]
		if !ok {
			t.Errorf("%s does not mount %s", name, v.Name)
		}
		if v.Name == "source" && (!v.PersistentVolumeClaim.ReadOnly || !m.ReadOnly) {
			t.Errorf("%s could write the source", name)
		}
		if v.Name == "state" && !claims[v.PersistentVolumeClaim.ClaimName] {
			t.Errorf("%s: nothing makes the claim %s", name, v.PersistentVolumeClaim.ClaimName)
		}
	}
	for _, a := range p.Containers[0].Args {
		_, value, _ := strings.Cut(a, "=")
		mounted := slices.ContainsFunc(p.Containers[0].VolumeMounts, func(m core.VolumeMount) bool {
			return value == m.MountPath || strings.HasPrefix(value, m.MountPath+"/")
		})
		if strings.HasPrefix(value, "/") && !mounted {
			t.Errorf("%s: %s is mounted nowhere", name, a)
		}
	}
}

// checkRetries: some exit codes end the Job, others are tried again.
func checkRetries(t *testing.T, name string, j batch.JobSpec, final []int32, again ...int32) {
	t.Helper()
	ends := func(code int32) bool {
		for _, r := range j.PodFailurePolicy.Rules {
			if r.OnExitCodes != nil && slices.Contains(r.OnExitCodes.Values, code) {
				return r.Action == batch.PodFailurePolicyActionFailJob
			}
		}
		return false
	}
	for _, code := range final {
		if !ends(code) {
			t.Errorf("%s: exit code %d is tried again", name, code)
		}
	}
	for _, code := range append(again, 130, 143) {
		if ends(code) {
			t.Errorf("%s: exit code %d is the end", name, code)
		}
	}
	for _, r := range j.PodFailurePolicy.Rules {
		if r.OnExitCodes != nil && (r.OnExitCodes.ContainerName == nil || *r.OnExitCodes.ContainerName != j.Template.Spec.Containers[0].Name) {
			t.Errorf("%s: a rule is about another container", name)
		}
	}
}

// checkExpression parses PromQL, and wants metrics and labels to be ours.
func checkExpression(t *testing.T, text string) {
	t.Helper()
	// Grafana's own, which Prometheus never sees.
	text = strings.NewReplacer("$__rate_interval", "5m", "$namespace", ".*", "$pair", ".*").Replace(text)
	e, err := parser.NewParser(parser.Options{}).ParseExpr(text)
	if err != nil {
		t.Errorf("%s: %v", text, err)
		return
	}
	known := metrics(t)
	var labels []string // of all metrics in the expression
	n := 0
	parser.Inspect(e, func(node parser.Node, _ []parser.Node) error {
		v, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		n++
		own, is := known[v.Name]
		if !is {
			t.Errorf("%s: there is no metric %s", text, v.Name)
		}
		labels = append(append(labels, own...), "namespace", "__name__")
		for _, m := range v.LabelMatchers {
			if !slices.Contains(labels, m.Name) {
				t.Errorf("%s: %s has no label %s", text, v.Name, m.Name)
			}
		}
		return nil
	})
	parser.Inspect(e, func(node parser.Node, _ []parser.Node) error {
		if a, ok := node.(*parser.AggregateExpr); ok {
			for _, by := range a.Grouping {
				if !slices.Contains(labels, by) {
					t.Errorf("%s: no label %s", text, by)
				}
			}
		}
		return nil
	})
	if n == 0 {
		t.Errorf("%s: about no metric", text)
	}
}

// The dashboard is one that Grafana reads, each panel has its place, and each
// expression is about what the mirror measures.
func TestDashboard(t *testing.T) {
	b, err := os.ReadFile("chart/files/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Title, UID    string
		SchemaVersion int
		Panels        []struct {
			ID      int
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ RefID, Expr string }
		}
	}
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	if d.Title == "" || d.UID == "" || d.SchemaVersion == 0 || len(d.Panels) < 10 {
		t.Errorf("%q %q %d, %d panels", d.Title, d.UID, d.SchemaVersion, len(d.Panels))
	}
	shown, taken := string(b), map[[2]int]string{}
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			checkExpression(t, target.Expr)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%q lies on %q, or outside", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
	for _, name := range []string{"lag_seconds", "last_complete_round", "overdue", "leader", "rounds_total", "objects_total", "bytes_total", "undone_objects",
		"source_damage", "requests_total", "retries_total", "hints_queued", "deletions_refused", "deletions_done"} {
		if !strings.Contains(shown, name) {
			t.Errorf("%s is not shown", name)
		}
	}
}
