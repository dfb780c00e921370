package store

// Warning is what Check reports of something that works now and should be changed all the same, such as a setting that
// costs speed. Whoever asks whether the store can be used leaves Warnings out. A broker's Check may report a type of its
// own with the same method.
type Warning string

// Error returns the text.
func (w Warning) Error() string { return string(w) }

// IsWarning tells Warnings from problems.
func (w Warning) IsWarning() bool { return true }
