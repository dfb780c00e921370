package main

import "testing"

func TestCPUByPackage(t *testing.T) {
	const top = `File: sluice
Type: cpu
Showing nodes accounting for 4s, 100% of 4s total
      flat  flat%   sum%        cum   cum%
     1.20s 30.00% 30.00%      1.20s 30.00%  internal/runtime/syscall.Syscall6
     1.00s 25.00% 55.00%      1.00s 25.00%  modernc.org/sqlite/lib._sqlite3VdbeExec
     0.80s 20.00% 75.00%      0.90s 22.50%  github.com/sluicehq/sluice/dispatcher.(*Dispatcher).Handle
     0.60s 15.00% 90.00%      0.60s 15.00%  github.com/sluicehq/sluice/dispatcher.settle
     0.40s 10.00%   100%      0.40s 10.00%  slices.SortFunc[go.shape.[]github.com/a/b.C,go.shape.int]
`
	got := cpuByPackage([]byte(top))
	want := []packageCPU{
		{"github.com/sluicehq/sluice/dispatcher", 35},
		{"internal/runtime/syscall", 30},
		{"modernc.org/sqlite/lib", 25},
		{"slices", 10},
	}
	if len(got) != len(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("row %d: got %v, want %v", i, got[i], want[i])
		}
	}
}
