//! PLACEHOLDER: to be overwritten.
