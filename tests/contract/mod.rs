//! The contract of the C ABI, thrown at an export from every side.
//!
//! A family describes each of its exports as a [`Case`]: a valid call, its
//! tensors by name, and what is special about it. [`Case::check`] then bends
//! every argument in every way the contract speaks of, and expects a status, a
//! message that names the argument, and outputs with not one byte changed; or,
//! where the bent argument is still legal (strides, offsets, alignment), the
//! very same result.

pub mod attention;
pub mod boxes;
pub mod cluster;
pub mod conv;
pub mod guard;
pub mod image;
pub mod linear;
pub mod neighbours;
pub mod nn;
pub mod roi;
pub mod transformer;
pub mod warp;

use omma::capi::*;
use std::ffi::{CStr, c_void};

/// The element types that the exports use.
#[derive(Clone, Copy, PartialEq, Debug)]
#[allow(dead_code)]
pub enum Type {
    F32,
    F64,
    U8,
    I32,
    I64,
    Bool,
}

impl Type {
    fn dtype(self) -> OmmaDataType {
        let (code, bits) = match self {
            Type::F32 => (OMMA_DTYPE_FLOAT, 32),
            Type::F64 => (OMMA_DTYPE_FLOAT, 64),
            Type::U8 => (OMMA_DTYPE_UINT, 8),
            Type::I32 => (OMMA_DTYPE_INT, 32),
            Type::I64 => (OMMA_DTYPE_INT, 64),
            Type::Bool => (OMMA_DTYPE_BOOL, 8),
        };
        OmmaDataType {
            code,
            bits,
            lanes: 1,
        }
    }
    fn size(self) -> usize {
        usize::from(self.dtype().bits) / 8
    }
}

/// A tensor argument of a valid call.
#[derive(Clone)]
pub struct Arg {
    name: &'static str,
    ty: Type,
    shape: Vec<i64>,
    /// Row-major bytes; empty for an output.
    data: Vec<u8>,
    is_output: bool,
    optional: bool,
    /// Any shape may be legal on its own: only crashes and overruns are faults.
    any_shape: bool,
    any_type: bool,
}

#[allow(dead_code)]
impl Arg {
    /// An input of floats.
    pub fn input(name: &'static str, shape: &[i64], values: &[f32]) -> Arg {
        let data = values.iter().flat_map(|v| v.to_ne_bytes()).collect();
        Arg::new(name, Type::F32, shape, data)
    }
    /// An input of any type, by its bytes.
    pub fn input_bytes(name: &'static str, ty: Type, shape: &[i64], data: Vec<u8>) -> Arg {
        Arg::new(name, ty, shape, data)
    }
    /// An output.
    pub fn output(name: &'static str, ty: Type, shape: &[i64]) -> Arg {
        let mut arg = Arg::new(name, ty, shape, vec![0; count(shape) * ty.size()]);
        arg.is_output = true;
        arg
    }
    /// NULL is legal.
    pub fn optional(mut self) -> Arg {
        self.optional = true;
        self
    }
    /// Other shapes of this argument can be legal (a capacity, a free dimension).
    pub fn any_shape(mut self) -> Arg {
        self.any_shape = true;
        self
    }
    /// The same elements under another shape.
    pub fn reshape(&mut self, shape: &[i64]) {
        assert_eq!(count(shape), count(&self.shape), "{}", self.name);
        self.shape = shape.to_vec();
    }
    /// Other element types of this argument can be legal.
    pub fn any_type(mut self) -> Arg {
        self.any_type = true;
        self
    }
    fn new(name: &'static str, ty: Type, shape: &[i64], data: Vec<u8>) -> Arg {
        assert_eq!(data.len(), count(shape) * ty.size(), "{name}");
        Arg {
            name,
            ty,
            shape: shape.to_vec(),
            data,
            is_output: false,
            optional: false,
            any_shape: false,
            any_type: false,
        }
    }
}

fn count(shape: &[i64]) -> usize {
    shape.iter().product::<i64>() as usize
}

type CallExport =
    Box<dyn Fn(*const OmmaContext, *const c_void, &[*const OmmaTensor]) -> OmmaStatus>;

/// A valid call of an export.
pub struct Case {
    /// The exported function.
    pub export: &'static str,
    /// The operator, as messages name it.
    pub op: &'static str,
    /// The params struct as bytes, `struct_size` included; empty when the export has none.
    pub params: Vec<u8>,
    /// The tensors in the order of the C signature.
    pub args: Vec<Arg>,
    /// Calls the export with these tensors. Results that are not tensors (counts) are the family's own tests' business.
    pub call: CallExport,
    /// An output may be the very memory of an input.
    pub in_place: bool,
}

/// The bytes of a params struct.
#[allow(dead_code)]
pub fn params_bytes<P: Copy>(params: &P) -> Vec<u8> {
    let bytes = std::ptr::from_ref(params).cast::<u8>();
    // SAFETY: params structs of the ABI are plain data, made from zeroed memory.
    unsafe { std::slice::from_raw_parts(bytes, size_of::<P>()) }.to_vec()
}

/// The byte that memory no operator may touch is filled with.
const CANARY: u8 = 0xA5;

/// A tensor laid out in memory of its own, with canaries around and between.
struct Laid {
    memory: Vec<u64>,
    start: usize,
    shape: Vec<i64>,
    strides: Vec<i64>,
    tensor: OmmaTensor,
    ty: Type,
}

/// How to lay a tensor out.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Layout {
    Compact,
    /// Compact, strides written out.
    Explicit,
    /// Every stride doubled, the last included.
    Gaps,
    /// Every axis backwards.
    Reversed,
    /// One byte off its natural alignment.
    Misaligned,
    /// Reached through `byte_offset`.
    Offset,
}

impl Laid {
    fn new(arg: &Arg, layout: Layout) -> Laid {
        let rank = arg.shape.len();
        let size = arg.ty.size();
        let factor = if layout == Layout::Gaps { 2 } else { 1 };
        let mut strides = vec![0i64; rank];
        let mut step = factor;
        for axis in (0..rank).rev() {
            strides[axis] = step;
            step *= arg.shape[axis].max(1) * factor;
        }
        let span = step.max(1) as usize * size;
        let room = 64 + span + 64;
        let mut memory = vec![u64::from_ne_bytes([CANARY; 8]); room.div_ceil(8) + 1];
        let mut start = 64 + usize::from(layout == Layout::Misaligned);
        if layout == Layout::Reversed {
            for (stride, dim) in strides.iter_mut().zip(&arg.shape) {
                start += (*stride * (dim - 1).max(0)) as usize * size;
                *stride = -*stride;
            }
        }
        let base = memory.as_mut_ptr().cast::<u8>();
        let offset = if layout == Layout::Offset { 16 } else { 0 };
        let mut laid = Laid {
            memory,
            start,
            shape: arg.shape.clone(),
            strides,
            ty: arg.ty,
            tensor: OmmaTensor {
                data: base.wrapping_add(start - offset).cast(),
                device: OmmaDevice {
                    device_type: OMMA_DEVICE_CPU,
                    device_id: 0,
                },
                ndim: rank as i32,
                dtype: arg.ty.dtype(),
                shape: std::ptr::null(),
                strides: std::ptr::null(),
                byte_offset: offset as u64,
            },
        };
        laid.tensor.shape = laid.shape.as_ptr();
        if !matches!(
            layout,
            Layout::Compact | Layout::Misaligned | Layout::Offset
        ) {
            laid.tensor.strides = laid.strides.as_ptr();
        }
        if !arg.is_output {
            let data = arg.data.clone();
            laid.for_each(|i, element| element.copy_from_slice(&data[i * size..][..size]));
        }
        laid
    }

    fn bytes(&mut self) -> &mut [u8] {
        let len = self.memory.len() * 8;
        // SAFETY: the words as bytes.
        unsafe { std::slice::from_raw_parts_mut(self.memory.as_mut_ptr().cast(), len) }
    }

    /// Visits the elements in row-major order.
    fn for_each(&mut self, mut f: impl FnMut(usize, &mut [u8])) {
        let (shape, strides, start, size) = (
            self.shape.clone(),
            self.strides.clone(),
            self.start,
            self.ty.size(),
        );
        for i in 0..count(&shape) {
            let mut rest = i as i64;
            let mut offset = 0;
            for axis in (0..shape.len()).rev() {
                offset += strides[axis] * (rest % shape[axis]);
                rest /= shape[axis];
            }
            let at = (start as i64 + offset * size as i64) as usize;
            f(i, &mut self.bytes()[at..at + size]);
        }
    }

    /// The elements in row-major order; they become canaries.
    fn take(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        self.for_each(|_, element| {
            out.extend_from_slice(element);
            element.fill(CANARY);
        });
        out
    }

    fn is_untouched(&mut self) -> bool {
        self.bytes().iter().all(|&b| b == CANARY)
    }
}

fn last_error() -> String {
    // SAFETY: never NULL, and valid until the next failure.
    unsafe { CStr::from_ptr(omma_last_error()) }
        .to_string_lossy()
        .into_owned()
}

impl Case {
    fn run(&self, laid: &[Laid], bend: impl FnOnce(&mut Vec<*const OmmaTensor>)) -> OmmaStatus {
        let mut tensors: Vec<*const OmmaTensor> =
            laid.iter().map(|l| &raw const l.tensor).collect();
        bend(&mut tensors);
        (self.call)(std::ptr::null(), self.params_ptr(), &tensors)
    }

    fn params_ptr(&self) -> *const c_void {
        match self.params.is_empty() {
            true => std::ptr::null(),
            false => self.params.as_ptr().cast(),
        }
    }

    fn lay(&self) -> Vec<Laid> {
        self.args
            .iter()
            .map(|a| Laid::new(a, Layout::Compact))
            .collect()
    }

    /// All outputs in order; their memory becomes canaries, and nothing else may have changed.
    fn results(&self, laid: &mut [Laid], what: &str) -> Vec<Vec<u8>> {
        let mut results = Vec::new();
        for (arg, laid) in self.args.iter().zip(laid) {
            if arg.is_output {
                results.push(laid.take());
                assert!(
                    laid.is_untouched(),
                    "{}: {what}: wrote outside of {}",
                    self.op,
                    arg.name
                );
            }
        }
        results
    }

    /// The call failed, said so, and wrote nothing. `names`: the message has to name this argument.
    fn expect_error(&self, status: OmmaStatus, laid: &mut [Laid], names: Option<&str>, what: &str) {
        assert_ne!(status, OMMA_OK, "{}: {what}: accepted", self.op);
        assert_ne!(
            status,
            OMMA_INTERNAL,
            "{}: {what}: {}",
            self.op,
            last_error()
        );
        let message = last_error();
        assert!(
            message.starts_with(self.op),
            "{}: {what}: message is {message:?}",
            self.op
        );
        if let Some(name) = names {
            assert!(
                message.contains(name),
                "{}: {what}: {message:?} does not name {name}",
                self.op
            );
        }
        self.expect_untouched(laid, what);
    }

    fn expect_untouched(&self, laid: &mut [Laid], what: &str) {
        for (arg, laid) in self.args.iter().zip(laid) {
            assert!(
                !arg.is_output || laid.is_untouched(),
                "{}: {what}: failed and wrote to {}",
                self.op,
                arg.name
            );
        }
    }

    /// Bends one field of one tensor and expects an error that names the argument.
    fn bend(&self, at: usize, what: &str, change: impl FnOnce(&mut OmmaTensor)) {
        let mut laid = self.lay();
        let mut tensor = laid[at].tensor;
        change(&mut tensor);
        let status = self.run(&laid, |tensors| tensors[at] = &tensor);
        self.expect_error(status, &mut laid, Some(self.args[at].name), what);
    }

    /// Everything.
    pub fn check(&self) {
        let mut laid = self.lay();
        let status = self.run(&laid, |_| {});
        assert_eq!(
            status,
            OMMA_OK,
            "{}: the valid call failed: {}",
            self.op,
            last_error()
        );
        let expected = self.results(&mut laid, "valid call");
        self.check_params(&expected);
        for at in 0..self.args.len() {
            self.check_pointers(at);
            self.check_shapes(at);
            self.check_strides(at);
            self.check_layouts(at, &expected);
        }
        self.check_overlap(&expected);
    }

    fn check_params(&self, expected: &[Vec<u8>]) {
        if self.params.is_empty() {
            return;
        }
        let run = |params: &[u8], laid: &[Laid]| {
            let tensors: Vec<*const OmmaTensor> =
                laid.iter().map(|l| &raw const l.tensor).collect();
            (self.call)(std::ptr::null(), params.as_ptr().cast(), &tensors)
        };
        let with_size = |size: usize| {
            let mut params = self.params.clone();
            params.resize(size.max(params.len()), 0);
            params[..4].copy_from_slice(&(size as u32).to_ne_bytes());
            params
        };
        for size in [0, 3] {
            let mut laid = self.lay();
            let status = run(&with_size(size), &laid);
            self.expect_error(
                status,
                &mut laid,
                Some("struct_size"),
                "struct_size too small",
            );
        }
        // A newer caller: unknown trailing bytes, zero and not zero.
        let mut newer = with_size(self.params.len() + 16);
        let mut laid = self.lay();
        assert_eq!(
            run(&newer, &laid),
            OMMA_OK,
            "{}: newer params: {}",
            self.op,
            last_error()
        );
        assert_eq!(
            self.results(&mut laid, "newer params"),
            expected,
            "{}: newer params",
            self.op
        );
        *newer.last_mut().unwrap() = 1;
        let status = run(&newer, &laid);
        self.expect_error(
            status,
            &mut laid,
            Some("struct_size"),
            "unknown trailing bytes",
        );
        // An older caller: every shorter struct is read without a crash.
        for size in (4..self.params.len()).step_by(4) {
            let mut laid = self.lay();
            if run(&with_size(size), &laid) != OMMA_OK {
                self.expect_untouched(&mut laid, "older params");
            }
        }
    }

    fn check_pointers(&self, at: usize) {
        let arg = &self.args[at];
        let mut laid = self.lay();
        let status = self.run(&laid, |tensors| tensors[at] = std::ptr::null());
        if arg.optional {
            assert_eq!(
                status,
                OMMA_OK,
                "{}: {} NULL: {}",
                self.op,
                arg.name,
                last_error()
            );
        } else {
            self.expect_error(status, &mut laid, Some(arg.name), "NULL tensor");
        }
        if count(&arg.shape) > 0 {
            self.bend(at, "data NULL", |t| t.data = std::ptr::null_mut());
        }
        self.bend(at, "device", |t| t.device.device_type = 2);
        self.bend(at, "ndim -1", |t| t.ndim = -1);
        self.bend(at, "ndim 9", |t| t.ndim = 9);
        self.bend(at, "byte_offset", |t| t.byte_offset = u64::MAX - 64);
        if !arg.shape.is_empty() {
            self.bend(at, "shape NULL", |t| t.shape = std::ptr::null());
        }
        self.bend(at, "lanes", |t| t.dtype.lanes = 2);
        self.bend(at, "type code", |t| t.dtype.code = 77);
        self.bend(at, "type bits", |t| t.dtype.bits = 16);
        if !arg.any_type {
            self.bend(at, "type complex", |t| {
                (t.dtype.code, t.dtype.bits) = (5, 64)
            });
            let other = if arg.ty == Type::F32 {
                Type::I32
            } else {
                Type::F32
            };
            self.bend(at, "type", |t| t.dtype = other.dtype());
        }
    }

    fn check_shapes(&self, at: usize) {
        let arg = &self.args[at];
        let with = |shape: &[i64], what: &str| {
            self.bend(at, what, |t| {
                t.ndim = shape.len() as i32;
                t.shape = shape.as_ptr();
            });
        };
        for axis in 0..arg.shape.len() {
            for dim in [-1, i64::MIN, i64::MAX, 1 << 62] {
                let mut shape = arg.shape.clone();
                shape[axis] = dim;
                with(&shape, &format!("dimension {axis} is {dim}"));
            }
        }
        if arg.shape.len() > 1 {
            with(&vec![1 << 40; arg.shape.len()], "product overflows");
        }
        // Shapes that disagree with the other arguments: other rank, one more, one
        // less, none. Room for the larger ones is there, should a call be legal.
        let mut shapes = vec![
            [&[1], &arg.shape[..]].concat(),
            [&arg.shape[..], &[1]].concat(),
        ];
        if !arg.shape.is_empty() {
            shapes.push(arg.shape[1..].to_vec());
        }
        for axis in 0..arg.shape.len() {
            for dim in [arg.shape[axis] + 1, arg.shape[axis] - 1, 0] {
                let mut shape = arg.shape.clone();
                shape[axis] = dim.max(0);
                shapes.push(shape);
            }
        }
        for shape in shapes {
            let what = format!("{} of shape {shape:?}", arg.name);
            let mut laid = self.lay();
            let mut other = arg.clone();
            other.shape = shape.clone();
            other.data = arg
                .data
                .iter()
                .copied()
                .cycle()
                .take(count(&shape) * arg.ty.size())
                .collect();
            if other.data.len() < count(&shape) * arg.ty.size() {
                other.data.resize(count(&shape) * arg.ty.size(), 0);
            }
            laid[at] = Laid::new(&other, Layout::Compact);
            let status = self.run(&laid, |_| {});
            if status == OMMA_OK {
                assert!(
                    arg.any_shape || shape == arg.shape,
                    "{}: {what}: accepted",
                    self.op
                );
                self.results(&mut laid, &what);
            } else {
                self.expect_error(status, &mut laid, None, &what);
            }
        }
    }

    fn check_strides(&self, at: usize) {
        let arg = &self.args[at];
        for axis in (0..arg.shape.len()).filter(|&axis| arg.shape[axis] > 1) {
            let mut strides = vec![1i64; arg.shape.len()];
            for stride in [i64::MAX, i64::MIN, i64::MAX / 4] {
                strides[axis] = stride;
                self.bend(at, &format!("stride {axis} is {stride}"), |t| {
                    t.strides = strides.as_ptr()
                });
            }
            if arg.is_output {
                let mut strides = Laid::new(arg, Layout::Compact).strides.clone();
                strides[axis] = 0;
                self.bend(at, "output overlaps itself", |t| {
                    t.strides = strides.as_ptr()
                });
            }
        }
    }

    fn check_layouts(&self, at: usize, expected: &[Vec<u8>]) {
        use Layout::*;
        for layout in [Explicit, Gaps, Reversed, Misaligned, Offset] {
            let what = format!("{} laid out {layout:?}", self.args[at].name);
            let mut laid = self.lay();
            laid[at] = Laid::new(&self.args[at], layout);
            let status = self.run(&laid, |_| {});
            assert_eq!(status, OMMA_OK, "{}: {what}: {}", self.op, last_error());
            assert_eq!(
                self.results(&mut laid, &what),
                expected,
                "{}: {what}",
                self.op
            );
        }
    }

    /// An output laid over an input: the exact same memory is the result, or an
    /// error, as documented; a shifted overlap is an error.
    fn check_overlap(&self, expected: &[Vec<u8>]) {
        for (o, output) in self.args.iter().enumerate().filter(|(_, a)| a.is_output) {
            for (i, input) in self.args.iter().enumerate().filter(|(_, a)| !a.is_output) {
                if count(&output.shape) == 0 || count(&input.shape) == 0 {
                    continue;
                }
                // Memory with room for both, holding the input at its start.
                let mut laid = self.lay();
                let mut wide = input.clone();
                let bytes = input
                    .data
                    .len()
                    .max(count(&output.shape) * output.ty.size())
                    + 64;
                let elements = bytes.div_ceil(input.ty.size());
                wide.shape = vec![elements as i64];
                wide.data.resize(elements * input.ty.size(), 0);
                let shared = Laid::new(&wide, Layout::Compact);
                let same = input.ty == output.ty && input.shape == output.shape;
                for shift in [0, output.ty.size()] {
                    let mut over = laid[o].tensor;
                    over.data = shared.tensor.data.cast::<u8>().wrapping_add(shift).cast();
                    let mut from = laid[i].tensor;
                    from.data = shared.tensor.data;
                    let status =
                        self.run(&laid, |tensors| (tensors[o], tensors[i]) = (&over, &from));
                    let what = format!("{} over {} shifted by {shift}", output.name, input.name);
                    if self.in_place && same && shift == 0 {
                        assert_eq!(status, OMMA_OK, "{}: {what}: {}", self.op, last_error());
                        let mut here = Laid::new(&wide, Layout::Compact);
                        here.memory.copy_from_slice(&shared.memory);
                        here.shape = output.shape.clone();
                        here.strides = Laid::new(output, Layout::Compact).strides.clone();
                        let nth = self.args[..o].iter().filter(|a| a.is_output).count();
                        assert_eq!(here.take(), expected[nth], "{}: {what}", self.op);
                        break;
                    }
                    self.expect_error(status, &mut laid, Some(output.name), &what);
                }
            }
        }
    }
}
