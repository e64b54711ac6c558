package filesystem

import (
	"encoding/binary"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// record is a struct linux_dirent64.
func record(inode uint64, kind byte, name string) []byte {
	b := make([]byte, (19+len(name)+1+7)/8*8)
	binary.NativeEndian.PutUint64(b, inode)
	binary.NativeEndian.PutUint16(b[16:], uint16(len(b)))
	b[18] = kind
	copy(b[19:], name)
	return b
}

// A directory is what its names say, whatever inodes they have, and each name
// counts once.
func TestRecords(t *testing.T) {
	b := slices.Concat(record(1, unix.DT_DIR, "."), record(0, unix.DT_DIR, ".."),
		record(7, unix.DT_REG, "c"), record(0, unix.DT_REG, "zero"), record(0, unix.DT_DIR, "dir"), record(8, unix.DT_LNK, "link"),
		record(9, unix.DT_REG, "c"), record(0, unix.DT_DIR, "dir"), record(5, unix.DT_FIFO, "eightbyt"))
	list, err := dir{}.parse(nil, b)
	want := []entry{{"c", isFile}, {"dir/", isDir}, {"eightbyt", isOther}, {"link", isLink}, {"zero", isFile}}
	if got := inOrder(list); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	if list, err = (dir{}).parse(nil, record(0, unix.DT_REG, "zero")); err != nil || !hasOther(list, "c") {
		t.Errorf("a directory with a name of inode 0 is taken for empty: %v", err)
	}
}

// What a directory's type is not said of is asked.
func TestRecordsWithoutType(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(root+"/sub", 0o755); err != nil {
		t.Fatal(err)
	}
	tree, err := openTree(root)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.close()
	list, err := tree.parse(nil, slices.Concat(record(0, unix.DT_UNKNOWN, "sub"), record(0, unix.DT_UNKNOWN, "gone")))
	if err != nil || !slices.Equal(list, []entry{{"sub/", isDir}}) {
		t.Errorf("%v, %v", list, err)
	}
}

// What is no record is an error: a listing that breaks off is not a short one.
func TestBrokenRecords(t *testing.T) {
	good := record(1, unix.DT_REG, "good")
	sized := func(size uint16) []byte {
		b := record(1, unix.DT_REG, "name")
		binary.NativeEndian.PutUint16(b[16:], size)
		return b
	}
	for name, b := range map[string][]byte{
		"half a header": good[:10], "a header": good[:19], "half a name": good[:21],
		"no length": sized(0), "shorter than its header": sized(19), "longer than what is there": sized(1000),
		"no end of the name": record(1, unix.DT_REG, "name")[:23], "a name that does not end": slices.Concat(sized(23)[:23], good),
		"no name": record(1, unix.DT_REG, ""),
	} {
		if list, err := (dir{}).parse(nil, slices.Concat(good, b)); err == nil || list != nil {
			t.Errorf("%s: %v, %v", name, list, err)
		}
	}
}
