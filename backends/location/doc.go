// Package location turns what a user writes into an open store, and back into
// the configuration that a registry reads.
//
// A location is one of these:
//
//   - a path, which is a volume, or a URL whose scheme names the system and
//     whose query holds the options, named as the registry names them where it
//     has them: file, s3, azblob, gs, swift, oss;
//   - the registry's own config.yml, with REGISTRY_STORAGE_* of the environment;
//   - the values of MSR's chart, or its custom resource;
//   - the values of Harbor's chart.
//
// A file is one that ends in .yml or .yaml, or is written config:PATH; which of
// the three it is, its content says.
//
// # Decisions
//
// A URL can be printed, so it has no secrets: those come from the environment.
// A file has them, as the registry wants them there, so the file's path is what
// is printed, and every type that holds a secret writes itself without it.
//
// One table a system names every parameter of registry 2.8.3 and 3.1, with its
// kind and what becomes of it: a URL and a file are read by the same function.
// A parameter that is not in the table is an error, because one with a slip in
// it would silently not be in force. Decoding into structs was rejected: it
// ignores what it does not know, or says so without the nearest known name.
//
// YAML is read by the library and in the version that the registry itself uses,
// so that a tenant 0123 or a region no is here what it is there. Going by
// sigs.k8s.io/yaml was rejected: it makes JSON of it, which loses large numbers
// and writes out each alias, so that 4 MiB become gigabytes. Its errors repeat
// what they stumble over, which may be a password, so they are said in other
// words.
//
// Whether a registry overrides a parameter by the environment is often a
// surprise (a mapping within a section that the file has cannot be overridden),
// but the surprise is repeated here: the file has to mean what it means there.
// That goes for a root directory that is blank, too, of which drivers make the
// text <nil>; it is refused, since nobody means it. One thing is not repeated: a
// variable for another driver than the file's, with which no registry starts, is
// left alone, because the environment is that of both sides.
//
// Configurations are rendered without secrets, as references to what the target
// reads: a variable of the environment for distribution, a Secret for Harbor,
// a placeholder for MSR, whose resource has nothing else that is documented.
package location
