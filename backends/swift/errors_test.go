package swift

import (
	"testing"

	"github.com/regferry/regferry/backends/backendtest"
)

func TestTimeouts(t *testing.T) { backendtest.CheckTimeouts(t, classOf) }
