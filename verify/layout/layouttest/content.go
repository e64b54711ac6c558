package layouttest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"math"
	"math/rand/v2"

	"github.com/opencontainers/go-digest"
)

// inMemory is up to which size, in bytes, a layer is kept while it is
// written. A larger one is made twice: to be hashed, and to be written.
const inMemory = 1 << 20

// content is bytes that can be had again.
type content struct {
	digest digest.Digest
	size   int64
	open   func() io.Reader
}

func bytesContent(b []byte, alg digest.Algorithm) content {
	return content{alg.FromBytes(b), int64(len(b)), func() io.Reader { return bytes.NewReader(b) }}
}

// layerContent makes layer number n of a registry.
func layerContent(seed, n uint64, size int64, alg digest.Algorithm) content {
	open := func() io.Reader {
		var in [16]byte
		binary.BigEndian.PutUint64(in[:], seed)
		binary.BigEndian.PutUint64(in[8:], n)
		return io.LimitReader(rand.NewChaCha8(sha256.Sum256(in[:])), size)
	}
	if size <= inMemory {
		b := make([]byte, size)
		if _, err := io.ReadFull(open(), b); err != nil {
			panic(err) // ChaCha8 never fails
		}
		return bytesContent(b, alg)
	}
	d, err := alg.FromReader(open())
	if err != nil {
		panic(err) // as above
	}
	return content{d, size, open}
}

// logUniform picks a size: as many between 1 and 10 KB as between 10 and 100.
func logUniform(rng *rand.Rand, least, most int64) int64 {
	a, b := math.Log(float64(max(least, 1))), math.Log(float64(max(most, 1)))
	return min(max(int64(math.Exp(a+rng.Float64()*(b-a))), least), most)
}
