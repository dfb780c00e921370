package lane

// The most that one queue of a lane holds. One item always fits an empty queue, whatever its size.
const (
	maxItems = 256
	maxBytes = 1 << 20
)

// waiting is the two queues of a lane: linked lists in one slice, with an index by item, so that an item can leave from
// anywhere at the cost of one look-up. The zero value is empty.
type waiting[T comparable] struct {
	nodes []node[T]   // nodes[0] is no node, so that 0 means none
	free  int32       // first of the unused nodes, linked by next
	at    map[T]int32 // where each waiting item is
	lists [2]list     // by origin
}

// origin says where an item came from.
type origin uint8

const (
	fresh origin = iota // straight from the broker
	due                 // a row of the queue
)

type node[T comparable] struct {
	item       T
	size       int
	prev, next int32
	origin     origin
}

type list struct {
	head, tail int32
	items      int
	bytes      int
}

// keptNodes is how much an empty waiting keeps to work on without allocating.
const keptNodes = 64

// full reports whether size more bytes do not fit.
func (l *list) full(size int) bool {
	return l.items > 0 && (l.items >= maxItems || l.bytes+size > maxBytes)
}

// push appends item to its queue. It is false if the queue is full; an item that waits already stays where it is.
func (w *waiting[T]) push(o origin, item T, size int) bool {
	if _, ok := w.at[item]; ok {
		return true
	}
	l := &w.lists[o]
	if l.full(size) {
		return false
	}
	i := w.newNode()
	w.nodes[i] = node[T]{item: item, size: size, prev: l.tail, origin: o}
	if l.tail == 0 {
		l.head = i
	} else {
		w.nodes[l.tail].next = i
	}
	l.tail = i
	l.items++
	l.bytes += size
	w.at[item] = i
	return true
}

func (w *waiting[T]) newNode() int32 {
	if i := w.free; i != 0 {
		w.free = w.nodes[i].next
		return i
	}
	if w.nodes == nil {
		w.nodes = make([]node[T], 1, 8)
		w.at = make(map[T]int32)
	}
	w.nodes = append(w.nodes, node[T]{})
	return int32(len(w.nodes) - 1)
}

// pop takes the first item of a queue that is not empty.
func (w *waiting[T]) pop(o origin) T {
	i := w.lists[o].head
	item := w.nodes[i].item
	w.unlink(i)
	return item
}

// remove takes item out of whichever queue it waits in, and reports whether it did.
func (w *waiting[T]) remove(item T) bool {
	i, ok := w.at[item]
	if ok {
		w.unlink(i)
	}
	return ok
}

// takeAll empties a queue and returns what was in it, in order.
func (w *waiting[T]) takeAll(o origin) []T {
	var items []T
	if n := w.lists[o].items; n > 0 {
		items = make([]T, 0, n)
	}
	for w.lists[o].items > 0 {
		items = append(items, w.pop(o))
	}
	return items
}

func (w *waiting[T]) unlink(i int32) {
	n := w.nodes[i]
	l := &w.lists[n.origin]
	if n.prev == 0 {
		l.head = n.next
	} else {
		w.nodes[n.prev].next = n.next
	}
	if n.next == 0 {
		l.tail = n.prev
	} else {
		w.nodes[n.next].prev = n.prev
	}
	l.items--
	l.bytes -= n.size
	delete(w.at, n.item)
	w.nodes[i] = node[T]{next: w.free} // lets go of the item
	w.free = i
	if w.len() == 0 && len(w.nodes) > keptNodes {
		w.nodes, w.free, w.at = nil, 0, nil // ten thousand lanes that were full once must not keep what they needed then
	}
}

func (w *waiting[T]) len() int { return w.lists[fresh].items + w.lists[due].items }
