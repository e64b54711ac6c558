package location

import "slices"

const (
	keepOld   = "Keep the old storage as it is until the new one has served for a while; it is the way back."
	proveCopy = "Prove the copy: regferry verify --from OLD --to NEW. (--level content reads every blob: run that before, or after the switch.)"
	lastCopy  = "Copy what came meanwhile: regferry migrate --from OLD --to NEW --final."
)

// steps are those of a switch, in order: pause is done before the last copy
// begins, and after comes once that is proved.
type steps struct{ before, pause, after []string }

func (s steps) all() []string {
	return slices.Concat(s.before, s.pause, []string{lastCopy, proveCopy}, s.after)
}

// distributionSteps are those of docs/content/about/configuration.md of
// distribution: the read-only mode, which does not stop the purging of uploads.
var distributionSteps = steps{
	before: []string{"Copy while the registry runs: regferry migrate --from OLD --to NEW. No garbage-collect from here to the end."},
	pause: []string{
		"Make the registry read-only and restart it: storage.maintenance.readonly.enabled: true, and storage.maintenance.uploadpurging.enabled: false, because purging goes on when it is read-only.",
	},
	after: []string{
		"Put the section below in the place of the old driver; keep delete, redirect, cache and maintenance as they were. Leave out the variables REGISTRY_STORAGE_* of the old driver: two drivers at once are an error.",
		"Restart, with an empty cache: a blob descriptor cache in Redis has descriptors of the old storage.",
		"Pull an image, push one, then end the read-only mode.",
		keepOld,
	},
}

// msrSteps: MSR's and DTR's documentation, "switch storage backends" of each
// version.
var msrSteps = steps{
	before: []string{
		"Set garbage collection to Never, and leave it so to the end.",
		"Copy while MSR runs: regferry migrate --from OLD --to NEW.",
	},
	pause: []string{
		"Make it read-only, where the version can be (3.0 cannot: stop pushes at the load balancer): POST /api/v0/meta/settings {\"readOnlyRegistry\": true}.",
		"Back up the metadata (msr backup, on 2.x the backup command of its image): tags live in its database and not in the storage. The last copy must not be older than this backup.",
	},
	after: []string{
		"Switch. MSR 3: helm upgrade with the values below, or kubectl apply of the resource. DTR 2.6.4 to 2.8: reconfigure with --storage-migrated; without it the tags are destroyed. MSR 2.9: reconfigure, and never with --reinitialize-storage, which destroys the tags. DTR before 2.6.4: update first.",
		"Where tags are missing afterwards, restore the metadata backup on the new storage.",
		"End the read-only mode, pull and push, then collect once: POST /api/v0/jobs {\"action\": \"onlinegc_blobs\"}, and set garbage collection as it was.",
		keepOld,
	},
}

// harborSteps: Harbor's metadata is in its database, and stays there.
var harborSteps = steps{
	before: []string{
		"Stop the schedule of garbage collection, and leave it so to the end.",
		"Copy while Harbor runs: regferry migrate --from OLD --to NEW.",
	},
	pause: []string{
		"Make Harbor read-only: Administration, Configuration, System Settings, Repository Read Only.",
		"Back up the database: projects, tags and accounts are there and not in the storage. The last copy must not be older than this backup.",
	},
	after: []string{
		"helm upgrade with the values below in the place of persistence.imageChartStorage; keep disableredirect and caBundleSecretName as the new storage needs them.",
		"Restart the registry and flush its Redis database: it caches descriptors of the old storage.",
		"Pull an image, push one, then end the read-only mode, and start garbage collection again.",
		keepOld,
	},
}

var platforms = []platform{
	{name: "distribution", three: true, title: "The storage section of config.yml of registry 3. To switch:", steps: distributionSteps},
	{name: "distribution-v2", title: "The storage section of config.yml of registry 2.8. To switch:", steps: distributionSteps},
	{name: "msr", database: true, title: "The values of MSR's chart. To switch:", steps: msrSteps},
	{name: "harbor", chart: true, database: true, title: "The values of Harbor's chart. To switch:", steps: harborSteps},
}
