package location

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/regferry/regferry/backends"
)

var (
	harborTypes  = []string{"filesystem", "azure", "gcs", "s3", "swift", "oss"}
	harborFields = append([]string{"type", "disableredirect", "caBundleSecretName"}, harborTypes...)
)

// harbor reads persistence.imageChartStorage of Harbor's chart:
// goharbor/harbor-helm, values.yaml. What is not there has the chart's default,
// which is a volume at /storage.
func (o Opener) harbor(root node) (found, error) {
	persistence, err := root.in("persistence")
	if err != nil {
		return found{}, err
	}
	storage, err := persistence.in("imageChartStorage")
	if err != nil {
		return found{}, err
	}
	all, err := storage.mapping()
	if err != nil {
		return found{}, err
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !slices.Contains(harborFields, name) {
			return found{}, fmt.Errorf("%s.%s is no field of Harbor's chart%s", storage.at, cut(name), didYouMean(name, harborFields))
		}
	}
	facts := Facts{Kind: kindHarbor, DeleteEnabled: true} // the chart's configuration of its registry
	driver, err := harborFacts(storage, &facts)
	if err != nil {
		return found{}, err
	}
	section := node{storage.at + "." + driver, all[driver]}
	if driver == "filesystem" {
		p, err := o.harborVolume(persistence, section, &facts)
		return found{p, facts}, err
	}
	p, err := placed(systemOf(driver), section, &facts, o.harborSecrets)
	return found{p, facts}, err
}

func harborFacts(storage node, facts *Facts) (driver string, err error) {
	fields, err := storage.mapping()
	if err != nil {
		return "", err
	}
	redirect := node{storage.at + ".disableredirect", fields["disableredirect"]}
	if facts.RedirectDisable, err = redirect.flag(); err != nil {
		return "", err
	}
	ca, err := node{storage.at + ".caBundleSecretName", fields["caBundleSecretName"]}.text()
	if err != nil {
		return "", err
	}
	if ca != "" {
		facts.Warnings = append(facts.Warnings, fmt.Sprintf("%s.caBundleSecretName: the storage's certificate is signed by the ca.crt of the Secret %s; name that file in SSL_CERT_FILE (AWS_CA_BUNDLE for S3)", storage.at, printable(ca)))
	}
	kind := node{storage.at + ".type", fields["type"]}
	if driver, err = kind.text(); err != nil {
		return "", err
	}
	if driver == "" {
		driver = "filesystem"
	}
	if !slices.Contains(harborTypes, driver) {
		return "", fmt.Errorf("%s is none of %s%s", kind.at, strings.Join(harborTypes, ", "), didYouMean(driver, harborTypes))
	}
	facts.Driver = driver
	return driver, nil
}

func (o Opener) harborVolume(persistence, section node, facts *Facts) (place, error) {
	enabled, err := persistence.in("enabled")
	if err != nil {
		return nil, err
	}
	if on, err := enabled.flag(); err != nil || enabled.v != nil && !on {
		if err == nil {
			err = fmt.Errorf("%s is false: the images are in a directory that goes with the pod, and cannot be reached", enabled.at)
		}
		return nil, err
	}
	p := &params{system: &filesystemSystem, at: section.at, facts: facts}
	if p.values, err = section.mapping(); err != nil {
		return nil, err
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	dir := "/storage"
	if _, given := p.values["rootdirectory"]; given {
		if dir = p.text("rootdirectory"); dir == "" {
			p.wrong("rootdirectory", "is blank, which the chart passes on, and the registry makes the text <nil> of that: leave the line out for /storage")
		}
	}
	at := o.directory(dir, "Harbor's volume of images")
	return at, errors.Join(p.err, harborSubPath(persistence, at.dir, facts))
}

// harborSubPath warns of a volume that Harbor mounts a part of. Whether dir has
// all of it or that part, nobody can know here.
func harborSubPath(persistence node, dir string, facts *Facts) error {
	at, err := persistence.find("persistentVolumeClaim.registry.subPath")
	if err != nil {
		return err
	}
	sub, err := at.text()
	if err != nil {
		return err
	}
	sub = strings.Trim(sub, "/")
	if sub != "" && !strings.HasSuffix("/"+strings.Trim(dir, "/"), "/"+sub) {
		facts.Warnings = append(facts.Warnings, fmt.Sprintf("%s: Harbor has its images in %s of the claim; mount the claim with that subPath at %s, or, where all of it is mounted there, give %s with --from-mount or --to-mount",
			at.at, printable(sub), backends.Printable(dir), backends.Printable(path.Join(dir, sub))))
	}
	return nil
}

// harborSecrets takes out of a section what is the chart's and not the
// registry's, and puts the secrets in that it stands for.
func (o Opener) harborSecrets(p *params) error {
	take := func(name string) any {
		v := p.values[name]
		delete(p.values, name)
		return v
	}
	name, err := node{p.field("existingSecret"), take("existingSecret")}.text()
	if err != nil {
		return err
	}
	if p.system.driver == "gcs" {
		identity, err := node{p.field("useWorkloadIdentity"), take("useWorkloadIdentity")}.flag()
		if err != nil {
			return err
		}
		key, err := node{p.field("encodedkey"), take("encodedkey")}.text()
		if err != nil || identity {
			return err
		}
		if key != "" && name == "" {
			if p.values["credentials"], err = encodedKey(key); err != nil {
				return fmt.Errorf("%s %w", p.field("encodedkey"), err)
			}
		}
	}
	return o.fill(p, name)
}
