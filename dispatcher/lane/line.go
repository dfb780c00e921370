package lane

// line is a heap of waiting holders: fewest fast slots first, and first come among equals. It implements
// heap.Interface.
type line []*Holder

func before(a, b *Holder) bool {
	if a.fast != b.fast {
		return a.fast < b.fast
	}
	return a.turn < b.turn
}

func (l line) Len() int           { return len(l) }
func (l line) Less(i, j int) bool { return before(l[i], l[j]) }

func (l line) Swap(i, j int) {
	l[i], l[j] = l[j], l[i]
	l[i].place, l[j].place = i+1, j+1
}

// Push appends a *Holder.
func (l *line) Push(x any) {
	h := x.(*Holder) // only Slots pushes, and only holders
	*l = append(*l, h)
	h.place = len(*l)
}

// Pop takes the last.
func (l *line) Pop() any {
	last := len(*l) - 1
	h := (*l)[last]
	(*l)[last] = nil
	*l = (*l)[:last]
	h.place = 0
	return h
}

// provenBy is the list of proven holders, oldest quick answer first.
type provenBy struct{ head, tail *Holder }

func (p *provenBy) append(h *Holder) {
	h.prev, h.next = p.tail, nil
	if p.tail == nil {
		p.head = h
	} else {
		p.tail.next = h
	}
	p.tail = h
}

func (p *provenBy) remove(h *Holder) {
	if h.prev == nil {
		p.head = h.next
	} else {
		h.prev.next = h.next
	}
	if h.next == nil {
		p.tail = h.prev
	} else {
		h.next.prev = h.prev
	}
	h.prev, h.next = nil, nil
}
