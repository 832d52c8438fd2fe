//! omma
