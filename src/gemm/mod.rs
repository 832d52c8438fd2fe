//! The packed matrix engine.
