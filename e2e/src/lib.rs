//! Tests of the whole: the real binary, real servers, a real browser. Everything is in `tests/`; there is nothing to use
//! here.
