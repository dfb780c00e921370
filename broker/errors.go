package broker

import "strconv"

func moreFailed(failed, of int) string {
	if of == 1 {
		return ""
	}
	return " (" + strconv.Itoa(failed) + " of " + strconv.Itoa(of) + " messages failed)"
}
