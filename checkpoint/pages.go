package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// The pages of a bbolt file, as far as they must be known in order to judge a
// file before bbolt sees it. bbolt trusts its data pages: a flipped bit makes
// it panic, fault on its memory map, follow a cycle until the stack is used
// up, which no recover can catch, or loop for ever (etcd-io/bbolt issues 105,
// 701, 877). So a file goes to bbolt only after walk found nothing wrong.
//
// Layout as in bbolt 1.5.0, internal/common: page.go, meta.go, bucket.go,
// inode.go. All numbers are in the order of the machine.
const (
	pageHeader  = 16 // id 8, flags 2, count 2, overflow 4
	element     = 16 // leaf: flags 4, pos 4, ksize 4, vsize 4; branch: pos 4, ksize 4, page 8
	inBucket    = 16 // root page 8, sequence 8
	metaSize    = 64
	metaMagic   = 0xED0CDAED
	metaVersion = 2
	noFreelist  = 1<<64 - 1

	branchPage   = 0x01
	leafPage     = 0x02
	freelistPage = 0x10
	bucketEntry  = 0x01

	maxDepth = 64 // of pages in one bucket; 64-way trees of any file stay under 10
	maxNest  = 8  // of buckets in buckets; ours are 1 deep
)

var native = binary.NativeEndian

// A leafFunc gets every record of a file in the order of its buckets. bucket
// is the path of names with NUL between; key and value hold until it returns.
type leafFunc func(bucket string, key, value []byte) error

type meta struct {
	pageSize             int64
	root, freelist, high uint64 // high: the first page beyond the used ones
	txid                 uint64
}

type walker struct {
	r    io.ReaderAt
	meta meta
	seen []uint64 // one bit a page
	used uint64
	leaf leafFunc
}

// walk reads the latest state committed to a bbolt file of the given size,
// checks that its structure is sound and calls leaf for each record. It maps
// nothing, so it can neither fault nor hang. An error of leaf ends it.
func walk(r io.ReaderAt, size int64, leaf leafFunc) error {
	m, err := latestMeta(r, size)
	if err != nil {
		return err
	}
	w := &walker{r: r, meta: m, leaf: leaf, seen: make([]uint64, m.high/64+1)}
	w.seen[0], w.used = 0b11, 2 // the meta pages
	if err := w.tree("", m.root, new(keyOrder), nil, nil, 0, 0); err != nil {
		return err
	}
	return w.freePages()
}

// latestMeta finds the meta page that bbolt will use: the valid one of the
// later transaction.
func latestMeta(r io.ReaderAt, size int64) (meta, error) {
	switch {
	case size == 0:
		return meta{}, errors.New("it is empty")
	case size < 2048:
		return meta{}, fmt.Errorf("it has only %d bytes", size)
	}
	first, errFirst := readMeta(r, 0)
	var second meta
	errSecond := errFirst
	if errFirst == nil {
		second, errSecond = readMeta(r, first.pageSize)
	} else {
		for at := int64(1024); at <= 1024<<14 && errSecond != nil; at *= 2 {
			if second, errSecond = readMeta(r, at); errSecond == nil && second.pageSize != at {
				errSecond = fmt.Errorf("its second page is at %d and says %d", at, second.pageSize)
			}
		}
	}
	m := first
	switch {
	case errFirst != nil && errSecond != nil:
		return meta{}, errFirst
	case errFirst != nil, errSecond == nil && second.txid > first.txid:
		m = second
	}
	return m, m.check(size)
}

func readMeta(r io.ReaderAt, at int64) (meta, error) {
	var b [metaSize]byte
	if _, err := r.ReadAt(b[:], at+pageHeader); err != nil {
		return meta{}, ended(err)
	}
	if native.Uint32(b[0:]) != metaMagic {
		return meta{}, errors.New("it is not a bbolt file")
	}
	if v := native.Uint32(b[4:]); v != metaVersion {
		return meta{}, fmt.Errorf("it has version %d of the bbolt format", v)
	}
	sum := fnv.New64a()
	sum.Write(b[:metaSize-8])
	if sum.Sum64() != native.Uint64(b[56:]) {
		return meta{}, errors.New("the checksum of its head is wrong")
	}
	return meta{
		pageSize: int64(native.Uint32(b[8:])),
		root:     native.Uint64(b[16:]),
		freelist: native.Uint64(b[32:]),
		high:     native.Uint64(b[40:]),
		txid:     native.Uint64(b[48:]),
	}, nil
}

func (m meta) check(size int64) error {
	if m.pageSize < 1024 || m.pageSize > 1024<<14 || m.pageSize&(m.pageSize-1) != 0 {
		return fmt.Errorf("it has pages of %d bytes", m.pageSize)
	}
	if have := uint64(size / m.pageSize); m.high > have {
		return fmt.Errorf("it was cut short: %d pages of %d are there", have, m.high)
	}
	return nil
}

// page reads page id with all that overflows from it, and takes it as used.
func (w *walker) page(id uint64) ([]byte, error) {
	if id < 2 || id >= w.meta.high {
		return nil, fmt.Errorf("page %d is outside of the file", id)
	}
	var head [pageHeader]byte
	if _, err := w.r.ReadAt(head[:], int64(id)*w.meta.pageSize); err != nil {
		return nil, ended(err)
	}
	if got := native.Uint64(head[0:]); got != id {
		return nil, fmt.Errorf("page %d says that it is page %d", id, got)
	}
	pages := 1 + uint64(native.Uint32(head[12:]))
	if pages > w.meta.high-id {
		return nil, fmt.Errorf("page %d runs beyond the end", id)
	}
	for i := id; i < id+pages; i++ {
		if err := w.mark(i); err != nil {
			return nil, err
		}
	}
	b := make([]byte, int64(pages)*w.meta.pageSize)
	if _, err := w.r.ReadAt(b, int64(id)*w.meta.pageSize); err != nil {
		return nil, ended(err)
	}
	return b, nil
}

func (w *walker) mark(id uint64) error {
	if w.seen[id/64]&(1<<(id%64)) != 0 {
		return fmt.Errorf("page %d is used twice", id)
	}
	w.seen[id/64] |= 1 << (id % 64)
	w.used++
	return nil
}

// keyOrder is the last key of a bucket that was seen.
type keyOrder struct {
	key  []byte
	some bool
}

// tree walks the pages of one bucket from id down; its keys must lie in
// [low, high), where nil is no limit.
func (w *walker) tree(bucket string, id uint64, last *keyOrder, low, high []byte, depth, nest int) error {
	if depth > maxDepth {
		return errors.New("its tree is too deep")
	}
	b, err := w.page(id)
	if err != nil {
		return err
	}
	switch flags := native.Uint16(b[8:]); flags {
	case leafPage:
		return w.leaves(bucket, b, last, low, high, nest)
	case branchPage:
		return w.branches(bucket, b, last, low, high, depth, nest)
	default:
		return fmt.Errorf("page %d has unknown flags %#x", id, flags)
	}
}

func (w *walker) branches(bucket string, b []byte, last *keyOrder, low, high []byte, depth, nest int) error {
	n := int(native.Uint16(b[10:]))
	if n == 0 {
		return errors.New("a branch of its tree is empty")
	}
	key := func(i int) ([]byte, error) {
		e := pageHeader + i*element
		if e+element > len(b) {
			return nil, errors.New("a page has too many elements")
		}
		return cut(b, e, native.Uint32(b[e:]), native.Uint32(b[e+4:]))
	}
	from, err := key(0)
	if err != nil {
		return err
	}
	if !within(from, low, high) {
		return errors.New("the keys of a page are not those that its parent names")
	}
	for i := range n {
		until := high
		if i+1 < n {
			if until, err = key(i + 1); err != nil {
				return err
			}
			if bytes.Compare(from, until) >= 0 || !within(until, low, high) {
				return errors.New("the keys of a page are out of order")
			}
		}
		if err := w.tree(bucket, native.Uint64(b[pageHeader+i*element+8:]), last, from, until, depth+1, nest); err != nil {
			return err
		}
		from = until
	}
	return nil
}

func (w *walker) leaves(bucket string, b []byte, last *keyOrder, low, high []byte, nest int) error {
	for i := range int(native.Uint16(b[10:])) {
		e := pageHeader + i*element
		if e+element > len(b) {
			return errors.New("a page has too many elements")
		}
		flags, pos, ksize, vsize := native.Uint32(b[e:]), native.Uint32(b[e+4:]), native.Uint32(b[e+8:]), native.Uint32(b[e+12:])
		key, err := cut(b, e, pos, ksize)
		if err != nil {
			return err
		}
		value, err := cut(b, e, pos+ksize, vsize)
		if err != nil || pos+ksize < pos {
			return errors.New("a value runs beyond its page")
		}
		if !within(key, low, high) || last.some && bytes.Compare(last.key, key) >= 0 {
			return errors.New("the keys of a page are out of order")
		}
		last.key, last.some = append(last.key[:0], key...), true
		switch flags {
		case 0:
			err = w.leaf(bucket, key, value)
		case bucketEntry:
			err = w.bucket(bucket, key, value, nest)
		default:
			err = fmt.Errorf("a record has unknown flags %#x", flags)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bucket walks a bucket in a bucket: pages of its own, or, while it is small,
// one page within the value.
func (w *walker) bucket(parent string, key, value []byte, nest int) error {
	if len(value) < inBucket {
		return errors.New("a bucket has no head")
	}
	if nest >= maxNest {
		return errors.New("its buckets are nested too deep")
	}
	name := string(key)
	if parent != "" {
		name = parent + "\x00" + name
	}
	if root := native.Uint64(value); root != 0 {
		return w.tree(name, root, new(keyOrder), nil, nil, 0, nest+1)
	}
	b := value[inBucket:]
	if len(b) < pageHeader || native.Uint16(b[8:]) != leafPage {
		return errors.New("a small bucket has no page")
	}
	return w.leaves(name, b, new(keyOrder), nil, nil, nest+1)
}

// freePages checks that every page is used once or free, never both: bbolt
// writes over what its free list names.
func (w *walker) freePages() error {
	if w.meta.freelist == noFreelist {
		return nil
	}
	b, err := w.page(w.meta.freelist)
	if err != nil {
		return err
	}
	if flags := native.Uint16(b[8:]); flags != freelistPage {
		return fmt.Errorf("its list of free pages has flags %#x", flags)
	}
	n, b := uint64(native.Uint16(b[10:])), b[pageHeader:]
	if n == 0xFFFF { // too many for 16 bits: the first number is the count
		n, b = native.Uint64(b), b[8:]
	}
	if n > uint64(len(b)/8) {
		return errors.New("its list of free pages is too long")
	}
	for i := range n {
		id := native.Uint64(b[8*i:])
		if id < 2 || id >= w.meta.high {
			return fmt.Errorf("free page %d is outside of the file", id)
		}
		if err := w.mark(id); err != nil {
			return err
		}
	}
	if w.used != w.meta.high {
		return fmt.Errorf("%d pages are neither used nor free", w.meta.high-w.used)
	}
	return nil
}

// cut returns size bytes of b at base+pos.
func cut(b []byte, base int, pos, size uint32) ([]byte, error) {
	from := uint64(base) + uint64(pos)
	until := from + uint64(size)
	if until > uint64(len(b)) {
		return nil, errors.New("a record runs beyond its page")
	}
	return b[from:until:until], nil
}

func within(key, low, high []byte) bool {
	return (low == nil || bytes.Compare(key, low) >= 0) && (high == nil || bytes.Compare(key, high) < 0)
}

// ended names the one reading error that means damage: no more bytes.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("it was cut short")
	}
	return err
}
