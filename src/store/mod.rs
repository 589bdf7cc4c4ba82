//! SQLite behind one handle and one writer thread.
