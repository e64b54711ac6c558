// Package layouttest makes registries for tests and benchmarks: a tree of a
// given shape, deterministic from a seed, whose every tag can be resolved, and
// damaged variants of it that say which tags they break.
//
// The trees are what a registry leaves behind, not what a client would run: manifests
// and configs are real JSON with right sizes and digests, but layers are
// random bytes (incompressible, cheap), not tar, so `crane validate` objects to
// them while pulling works.
//
// Things are made in the registry's own order of writing: for each image its
// layers and config with their layer links, its manifest and revision link, the
// tag's index link, the tag. Cutting the making off anywhere
// leaves what a killed registry leaves.
//
// What must be where is written down while it is made ([Registry.Needs]) and
// not read back, so that a fault in package layout cannot hide in both.
package layouttest
