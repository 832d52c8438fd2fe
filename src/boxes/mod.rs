//! IoU and non-maximum suppression.
