// Package filesystem is a directory as a store: a registry's volume, local or
// on NFS. It is written for Linux; elsewhere it works through os.Root, with
// fsync of each file, without free space, and on Windows without resuming.
//
// # Reading
//
// Nothing leaves the root. On Linux a path is resolved by openat2, below the
// root and through no symbolic link, in one call: so no cache of directory
// handles is needed, which was rejected since a live source renames and removes
// directories under it. Where openat2 is filtered, paths are walked. A symbolic
// link to a file inside the root is read as that file, through os.Root; what is
// neither file nor directory is listed with size -1 and refused with a reason.
// A listing that would have to start behind a link to a directory is an error,
// because an empty one would say that the registry has nothing. A key where a
// directory is, or below a file, is absent, as it would be in a bucket.
//
// A listing of 45,000 blobs on tmpfs takes 0.21 s with one reader; the same
// through os.Root's FS takes 0.54 s and filepath.WalkDir with Info, unconfined,
// 0.29 s. To open, read 2 kB and close takes 5 µs.
//
// # Writing
//
// A file is made whole in .regferry, beside docker/, and renamed to its key.
// Missing directories are made around it there and come into sight with it,
// since a registry serves a directory under tags/ as a tag. Rename, and not a
// link or a write in place, because it alone replaces a file at once.
//
// Where the kernel and the file system are known to report its errors, syncfs
// makes a group durable before its files get their keys, and once more at Sync.
// The syncfs that begins a group also covers the renames of the one before, so
// a long run needs one a group. It writes back other programs' data, too. After
// it failed nothing more is written: Linux reports a lost page once. Renames
// are in the order of Put, so a kill leaves the first ones. Elsewhere, and on
// overlays and FUSE, each file, and each directory it changed, has its fsync.
//
// Before Linux 5.17 syncfs says nothing of a journal that could not be written.
// There ext4 and XFS have an fsync of a change in scratch after each syncfs, a
// few ms a group: their journals are written in order and end with an error, so
// it proves what came before. Others have an fsync for each file.
//
// A rename stays within one mount. Whether the directory nearest to a key is on
// that of scratch is looked at before a content is opened, by statx: at each Put,
// since a btrfs subvolume is no mount and a mount may come later, and once when
// the store is opened, for the directories that a registry has in any case.
//
// Cost of one object of 2 kB in a directory of its own, one writer:
//
//	tmpfs, group or each    15 µs
//	ext4, each              0.8 to 4.8 ms
//	ext4, groups of 128     0.13 to 0.28 ms
//	ext4, groups of 256     0.26 to 0.34 ms
//	ext4, groups of 512     0.26 to 0.54 ms
//	ext4, groups of 1024    0.28 to 0.42 ms
//	ext4, groups of 2048    0.43 to 0.51 ms
//	ext4, no sync at all    0.39 to 0.60 ms (a loop in Python)
//
// The rows of groups are the range of four interleaved runs of 20,000 objects
// on a virtual disk, with other work on both cores. Only their order was
// steady: 128 was the fastest each time. A group has 256 objects nevertheless,
// since a disk that turns pays some 20 ms for a flush; that was not measured.
// Other rows are of one to three runs. A layer of 64 MiB goes at 1.7 GB/s to
// tmpfs and 1.1 GB/s to ext4, without its digest.
//
// # Deleting
//
// What comes into sight at once goes so: the topmost directory that holds nothing
// but the way to the file is renamed into .regferry and taken apart there; the
// file is unlinked, and directories are removed by rmdir only, which refuses one
// that has something in it. The first four levels stay, since a registry fails
// without them. A registry that writes in the moment between the look and the
// rename finds its file put back in its place, where what is newer
// there wins; 3,000 deletions beside a writer that aims at that moment lost none.
// A crash in that moment, before it is put back, does lose it. To lock out
// registries was rejected: they know no locks.
//
// Puts of the same store wait for the rename, since a directory that is open
// can be renamed into after it was moved out. Each Delete has its fsync: a
// mirror deletes little.
//
// A lease is compared and replaced under a lock on .regferry/lock, a file that is
// removed with it. What to compare is the SHA-256 of the content: two changes may
// have one time, and an inode comes again.
//
// # Resuming
//
// A large content is written under a name that follows from its digest, or for
// want of one from key and size, and is locked while it is written. What lies
// beyond the offset that was reported durable is compared with the source, not
// trusted: after a kill it is all there, after a power cut it may be zeros. A
// marker of good ranges was rejected, being one more file to keep durable. Who
// finds the file locked writes an ordinary one; file systems without locks have
// no resuming, since two writers could share a file that is already visible.
//
// # NFS
//
// Groups work on NFS: the server answers a rename when it is durable. An open
// file that is removed stays there as .nfs and a number, so what is in scratch
// is closed before its directory is removed. On a soft mount whose server is
// away each call waits for its time limit, so nothing is tried for all of many
// files. Tested on mounts of version 4.2 and 3 in User-Mode Linux.
//
// # Scratch
//
// Scratch of a dead process is told by its lock (flock), without locks by its
// age. A process identifier was rejected: containers share volumes, not those.
package filesystem
