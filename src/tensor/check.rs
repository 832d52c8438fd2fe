//! Checks that many operators share. `op` is the operator and `name` the
//! argument, as the caller knows them.

use super::{Element, Raw};
use crate::error::{Result, ensure};

/// The array has `rank` dimensions.
pub fn expect_rank<T: Element>(op: &str, name: &str, array: &Raw<T>, rank: usize) -> Result<()> {
    ensure!(
        array.rank() == rank,
        ShapeMismatch,
        "{op}: {name} has {} dimensions, expected {rank}",
        array.rank()
    );
    Ok(())
}

/// The array has exactly this shape.
pub fn expect_shape<T: Element>(
    op: &str,
    name: &str,
    array: &Raw<T>,
    shape: &[usize],
) -> Result<()> {
    ensure!(
        array.shape() == shape,
        ShapeMismatch,
        "{op}: {name} has shape {:?}, expected {shape:?}",
        array.shape()
    );
    Ok(())
}

/// Both arrays have the same shape.
pub fn expect_same_shape<T: Element, U: Element>(
    op: &str,
    name: &str,
    array: &Raw<T>,
    other_name: &str,
    other: &Raw<U>,
) -> Result<()> {
    ensure!(
        array.shape() == other.shape(),
        ShapeMismatch,
        "{op}: {name} has shape {:?}, {other_name} has {:?}",
        array.shape(),
        other.shape()
    );
    Ok(())
}

/// The two address ranges have no byte in common.
pub fn forbid_overlap<T: Element, U: Element>(
    op: &str,
    output_name: &str,
    output: &Raw<T>,
    input_name: &str,
    input: &Raw<U>,
) -> Result<()> {
    let (a, b) = (output.address_range(), input.address_range());
    ensure!(
        a.is_empty() || b.is_empty() || a.end <= b.start || b.end <= a.start,
        InvalidArgument,
        "{op}: {output_name} overlaps {input_name} in memory"
    );
    Ok(())
}

/// The output may be the very memory of the input, element for element, or
/// share nothing with it.
pub fn forbid_partial_overlap<T: Element>(
    op: &str,
    output_name: &str,
    output: &Raw<T>,
    input_name: &str,
    input: &Raw<T>,
) -> Result<()> {
    let same = output.ptr() == input.ptr()
        && (0..output.rank()).all(|a| output.dim(a) <= 1 || output.stride(a) == input.stride(a));
    let (a, b) = (output.address_range(), input.address_range());
    ensure!(
        same || a.is_empty() || b.is_empty() || a.end <= b.start || b.end <= a.start,
        InvalidArgument,
        "{op}: {output_name} overlaps {input_name} in memory without being the same array"
    );
    Ok(())
}
