//! Pooling against a scalar oracle written from torch's definition.

mod common;

use common::{Random, cases, context, isas, quick};
use omma::nn::{AverageOver, Pool2d, avg_pool2d, max_pool2d};
use omma::runtime::Context;
use omma::tensor::{Layout, View, ViewMut};

/// An array (N, C, H, W) in row-major order.
#[derive(Clone)]
struct Images {
    shape: [usize; 4],
    data: Vec<f32>,
}

impl Images {
    fn random(random: &mut Random, shape: [usize; 4]) -> Images {
        Images {
            shape,
            data: random.floats(shape.iter().product()),
        }
    }
    fn get(&self, n: usize, c: usize, y: usize, x: usize) -> f32 {
        let [_, cs, h, w] = self.shape;
        self.data[((n * cs + c) * h + y) * w + x]
    }
}

/// Where the taps of a window are that lie in the input.
fn taps(pool: &Pool2d, axis: usize, at: usize, input: usize) -> Vec<usize> {
    let stride = pool.stride.unwrap_or(pool.kernel_size)[axis];
    (0..pool.kernel_size[axis])
        .map(|t| (at * stride + t * pool.dilation[axis]) as isize - pool.padding[2 * axis] as isize)
        .filter(|&p| p >= 0 && p < input as isize)
        .map(|p| p as usize)
        .collect()
}

/// Taps in the input or in its padding.
fn padded_taps(pool: &Pool2d, axis: usize, at: usize, input: usize) -> usize {
    let stride = pool.stride.unwrap_or(pool.kernel_size)[axis];
    let end = input + pool.padding[2 * axis] + pool.padding[2 * axis + 1];
    (0..pool.kernel_size[axis])
        .filter(|t| at * stride + t * pool.dilation[axis] < end)
        .count()
}

/// torch's loop: larger, or NaN, takes the place of what was largest.
fn oracle_max(pool: &Pool2d, x: &Images, out: [usize; 2]) -> (Vec<f32>, Vec<i64>) {
    let [n, c, h, w] = x.shape;
    let (mut values, mut indices) = (Vec::new(), Vec::new());
    let columns: Vec<_> = (0..out[1]).map(|at| taps(pool, 1, at, w)).collect();
    for (n, c) in (0..n).flat_map(|n| (0..c).map(move |c| (n, c))) {
        for oy in 0..out[0] {
            let rows = taps(pool, 0, oy, h);
            for cols in &columns {
                let mut best = f32::NEG_INFINITY;
                let mut index = match (rows.first(), cols.first()) {
                    (Some(y), Some(x)) => (y * w + x) as i64,
                    _ => -1,
                };
                for &y in &rows {
                    for &x_at in cols {
                        let v = x.get(n, c, y, x_at);
                        if v > best || v.is_nan() {
                            (best, index) = (v, (y * w + x_at) as i64);
                        }
                    }
                }
                values.push(best);
                indices.push(index);
            }
        }
    }
    (values, indices)
}

fn oracle_avg(pool: &Pool2d, over: AverageOver, x: &Images, out: [usize; 2]) -> Vec<f64> {
    let [n, c, h, w] = x.shape;
    let mut values = Vec::new();
    let columns: Vec<_> = (0..out[1]).map(|at| taps(pool, 1, at, w)).collect();
    for (n, c) in (0..n).flat_map(|n| (0..c).map(move |c| (n, c))) {
        for oy in 0..out[0] {
            let rows = taps(pool, 0, oy, h);
            for (ox, cols) in columns.iter().enumerate() {
                let mut sum = 0.0;
                for &y in &rows {
                    for &x_at in cols {
                        sum += f64::from(x.get(n, c, y, x_at));
                    }
                }
                let by = match over {
                    AverageOver::Input => (rows.len() * cols.len()).max(1) as f64,
                    AverageOver::Padded => {
                        (padded_taps(pool, 0, oy, h) * padded_taps(pool, 1, ox, w)) as f64
                    }
                    AverageOver::Divisor(d) => d as f64,
                };
                values.push(sum / by);
            }
        }
    }
    values
}

/// How an array lies in memory.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Memory {
    Nchw,
    Nhwc,
    /// Every stride doubled, and one element off.
    Gaps,
    /// Rows and columns backwards.
    Backwards,
}

/// The strides of (N, C, H, W), the offset of the first element, and the length of the memory.
fn lay(memory: Memory, [n, c, h, w]: [usize; 4]) -> ([isize; 4], usize, usize) {
    let [ci, hi, wi] = [c, h, w].map(|v| v as isize);
    let len = n * c * h * w;
    match memory {
        Memory::Nchw => ([ci * hi * wi, hi * wi, wi, 1], 0, len),
        Memory::Nhwc => ([ci * hi * wi, 1, wi * ci, ci], 0, len),
        Memory::Gaps => ([2 * ci * hi * wi, 2 * hi * wi, 2 * wi, 2], 1, 2 * len + 1),
        Memory::Backwards => {
            let last = (h.max(1) - 1) * w + w.max(1) - 1;
            ([ci * hi * wi, hi * wi, -wi, -1], last, len)
        }
    }
}

fn offset(strides: [isize; 4], start: usize, index: [usize; 4]) -> usize {
    let away: isize = index
        .iter()
        .zip(strides)
        .map(|(&i, s)| i as isize * s)
        .sum();
    (start as isize + away) as usize
}

fn indices_of([n, c, h, w]: [usize; 4]) -> impl Iterator<Item = [usize; 4]> {
    (0..n * c * h * w).map(move |i| [i / (c * h * w), i / (h * w) % c, i / w % h, i % w])
}

/// Runs `f` on views of `x` and an output, laid out as asked; gives the output in row-major order.
fn with_memory<T: omma::tensor::Element>(
    x: &Images,
    out: [usize; 2],
    memory: [Memory; 2],
    blank: T,
    f: impl FnOnce(View<'_, f32>, &mut [T], [isize; 4], usize),
) -> Vec<T> {
    let (strides, start, len) = lay(memory[0], x.shape);
    let mut source = vec![f32::NAN; len];
    for (value, index) in x.data.iter().zip(indices_of(x.shape)) {
        source[offset(strides, start, index)] = *value;
    }
    let to = [x.shape[0], x.shape[1], out[0], out[1]];
    let (to_strides, to_start, to_len) = lay(memory[1], to);
    let mut target = vec![blank; to_len];
    let view = View::strided(&source, start, &x.shape, &strides).unwrap();
    f(view, &mut target, to_strides, to_start);
    indices_of(to)
        .map(|index| target[offset(to_strides, to_start, index)])
        .collect()
}

fn axes(layout: Layout) -> [usize; 4] {
    match layout {
        Layout::Nchw => [0, 1, 2, 3],
        Layout::Nhwc => [0, 2, 3, 1],
    }
}

fn run_max(
    ctx: &Context,
    pool: &Pool2d,
    x: &Images,
    out: [usize; 2],
    memory: [Memory; 2],
    want_indices: bool,
) -> (Vec<f32>, Vec<i64>) {
    let to = [x.shape[0], x.shape[1], out[0], out[1]];
    let order = axes(pool.layout);
    let mut found = Vec::new();
    let values = with_memory(x, out, memory, 7.0, |view, target, strides, start| {
        let into = ViewMut::strided(target, start, &to, &strides)
            .unwrap()
            .permute(&order);
        let (istrides, istart, ilen) = lay(memory[1], to);
        let mut ints = vec![-7i64; ilen];
        let at = ViewMut::strided(&mut ints, istart, &to, &istrides)
            .unwrap()
            .permute(&order);
        max_pool2d(
            ctx,
            pool,
            view.permute(&order),
            into,
            want_indices.then_some(at),
        )
        .unwrap();
        found = indices_of(to)
            .map(|i| ints[offset(istrides, istart, i)])
            .collect();
    });
    (values, found)
}

fn run_avg(
    ctx: &Context,
    pool: &Pool2d,
    over: AverageOver,
    x: &Images,
    out: [usize; 2],
    memory: [Memory; 2],
) -> Vec<f32> {
    let to = [x.shape[0], x.shape[1], out[0], out[1]];
    let order = axes(pool.layout);
    with_memory(x, out, memory, 7.0, |view, target, strides, start| {
        let into = ViewMut::strided(target, start, &to, &strides)
            .unwrap()
            .permute(&order);
        avg_pool2d(ctx, pool, over, view.permute(&order), into).unwrap();
    })
}

fn same(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len()
        && a.iter()
            .zip(b)
            .all(|(a, b)| a == b || (a.is_nan() && b.is_nan()))
}

/// A random window that fits the input.
fn random_pool(random: &mut Random, shape: [usize; 4]) -> Option<(Pool2d, [usize; 2])> {
    let mut pool = Pool2d::new([random.range(1, 5), random.range(1, 5)]);
    if random.range(0, 3) == 0 {
        pool.kernel_size = [random.range(1, 14), random.range(1, 14)];
    }
    if random.range(0, 2) > 0 {
        pool.stride = Some([random.range(1, 4), random.range(1, 4)]);
    }
    if random.range(0, 3) == 0 {
        pool.dilation = [random.range(1, 3), random.range(1, 3)];
    }
    for axis in 0..2 {
        let span = (pool.kernel_size[axis] - 1) * pool.dilation[axis];
        pool.padding[2 * axis] = random.range(0, span);
        pool.padding[2 * axis + 1] = random.range(0, span);
    }
    if random.range(0, 2) == 0 {
        pool.padding = [0; 4];
    }
    pool.ceil_mode = random.range(0, 1) == 1;
    if random.range(0, 2) == 0 {
        pool.layout = Layout::Nhwc;
    }
    let out = pool.output_size("pool", [shape[2], shape[3]]).ok()?;
    Some((pool, out))
}

fn random_case(random: &mut Random) -> (Images, Pool2d, [usize; 2]) {
    loop {
        let shape = [
            random.range(1, 2),
            random.range(1, 35),
            random.range(1, 19),
            random.range(1, 40),
        ];
        if let Some((pool, out)) = random_pool(random, shape) {
            return (Images::random(random, shape), pool, out);
        }
    }
}

const MEMORIES: [[Memory; 2]; 6] = [
    [Memory::Nchw, Memory::Nchw],
    [Memory::Nhwc, Memory::Nhwc],
    [Memory::Gaps, Memory::Nchw],
    [Memory::Nchw, Memory::Gaps],
    [Memory::Backwards, Memory::Nhwc],
    [Memory::Nhwc, Memory::Nchw],
];

#[test]
fn max_of_random_windows() {
    let mut random = Random(1);
    for case in 0..cases(300) {
        let (mut x, pool, out) = random_case(&mut random);
        // Ties, infinities, NaN.
        let len = x.data.len();
        match case % 4 {
            0 => x.data.iter_mut().for_each(|v| *v = (*v * 3.0).round()),
            1 => (0..len / 7 + 1).for_each(|_| {
                x.data[random.range(0, len - 1)] = [f32::NAN, -f32::NAN][random.range(0, 1)];
            }),
            2 => x.data.iter_mut().for_each(|v| {
                if *v < 0.8 {
                    *v = f32::NEG_INFINITY;
                }
            }),
            _ => {}
        }
        let (values, indices) = oracle_max(&pool, &x, out);
        for isa in isas() {
            let ctx = context(isa, 1);
            for memory in MEMORIES {
                let what = format!("{isa:?} {pool:?} {:?} {memory:?}", x.shape);
                let (got, _) = run_max(&ctx, &pool, &x, out, memory, false);
                assert!(same(&got, &values), "{what}\n{got:?}\n{values:?}");
                let (got, at) = run_max(&ctx, &pool, &x, out, memory, true);
                assert!(same(&got, &values), "with indices: {what}");
                assert_eq!(at, indices, "{what}");
            }
        }
    }
}

#[test]
fn mean_of_random_windows() {
    let mut random = Random(2);
    for case in 0..cases(300) {
        let (x, pool, out) = random_case(&mut random);
        let over = [
            AverageOver::Padded,
            AverageOver::Input,
            AverageOver::Divisor(3),
            AverageOver::Divisor(-2),
        ][case % 4];
        let expected = oracle_avg(&pool, over, &x, out);
        for isa in isas() {
            let ctx = context(isa, 1);
            let mut first: Option<Vec<u32>> = None;
            for memory in MEMORIES {
                let got = run_avg(&ctx, &pool, over, &x, out, memory);
                let what = format!("{isa:?} {pool:?} {over:?} {:?} {memory:?}", x.shape);
                for (got, expected) in got.iter().zip(&expected) {
                    let taps = (pool.kernel_size[0] * pool.kernel_size[1]) as f64;
                    let error = (f64::from(*got) - expected).abs();
                    assert!(error <= 1e-7 * taps, "{what}: {got} {expected}");
                }
                // Strides change no bit.
                let bits: Vec<u32> = got.iter().map(|v| v.to_bits()).collect();
                match &first {
                    None => first = Some(bits),
                    Some(first) => assert_eq!(first, &bits, "{what}"),
                }
            }
        }
    }
}

#[test]
fn windows_of_networks() {
    // The shapes of the face detectors and of the usual stems.
    let mut random = Random(3);
    for (kernel, stride, padding, ceil, mut shape) in [
        ([2, 2], [2, 2], 0, true, [1, 10, 31, 47]),
        ([3, 3], [2, 2], 0, true, [5, 28, 22, 22]),
        ([3, 3], [2, 2], 0, true, [3, 32, 46, 46]),
        ([2, 2], [2, 2], 0, true, [3, 64, 8, 8]),
        ([3, 3], [2, 2], 1, false, [1, 64, 112, 112]),
        ([3, 3], [1, 1], 1, false, [1, 5, 28, 28]),
        ([5, 5], [1, 1], 2, false, [1, 8, 20, 20]),
        ([13, 13], [1, 1], 6, false, [1, 8, 20, 20]),
        ([7, 7], [1, 1], 0, false, [2, 40, 7, 7]),
        ([56, 56], [1, 1], 0, false, [1, 3, 56, 56]),
        ([2, 2], [2, 2], 0, false, [1, 2, 300, 301]),
    ] {
        if quick() {
            // Still more channels than lanes.
            (shape[1], shape[2]) = (shape[1].min(17), shape[2].min(33).max(kernel[0]));
        }
        let x = Images::random(&mut random, shape);
        let mut expected = None;
        for layout in [Layout::Nchw, Layout::Nhwc] {
            let pool = Pool2d {
                stride: Some(stride),
                padding: [padding; 4],
                ceil_mode: ceil,
                layout,
                ..Pool2d::new(kernel)
            };
            let out = pool.output_size("pool", [shape[2], shape[3]]).unwrap();
            let (values, indices, means) = &*expected.get_or_insert_with(|| {
                let (values, indices) = oracle_max(&pool, &x, out);
                let means = oracle_avg(&pool, AverageOver::Input, &x, out);
                (values, indices, means)
            });
            for isa in isas() {
                let memory = match layout {
                    Layout::Nchw => [Memory::Nchw; 2],
                    Layout::Nhwc => [Memory::Nhwc; 2],
                };
                let run = |threads: usize| {
                    let ctx = context(isa, threads);
                    let (max, _) = run_max(&ctx, &pool, &x, out, memory, false);
                    let (_, at) = run_max(&ctx, &pool, &x, out, memory, true);
                    let mean = run_avg(&ctx, &pool, AverageOver::Input, &x, out, memory);
                    (max, at, mean)
                };
                let one = run(1);
                assert!(same(&one.0, values), "{isa:?} {pool:?}");
                assert_eq!(&one.1, indices, "{isa:?} {pool:?}");
                for (got, expected) in one.2.iter().zip(means) {
                    assert!(
                        (f64::from(*got) - expected).abs() < 1e-5,
                        "{isa:?} {pool:?}"
                    );
                }
                assert_eq!(run(2), one);
                if !quick() {
                    assert_eq!(run(7), one);
                }
            }
        }
    }
}

#[test]
fn three_dimensions_and_empty_batches() {
    let ctx = context(isas()[0], 1);
    let pool = Pool2d::new([2, 2]);
    let x: Vec<f32> = (0..32).map(|v| v as f32).collect();
    let mut out = [0.0; 8];
    max_pool2d(
        &ctx,
        &pool,
        View::new(&x, &[2, 4, 4]).unwrap(),
        ViewMut::new(&mut out, &[2, 2, 2]).unwrap(),
        None,
    )
    .unwrap();
    assert_eq!(out, [5.0, 7.0, 13.0, 15.0, 21.0, 23.0, 29.0, 31.0]);
    let nhwc = Pool2d {
        layout: Layout::Nhwc,
        ..pool
    };
    let mut out = [0.0; 8];
    avg_pool2d(
        &ctx,
        &nhwc,
        AverageOver::Padded,
        View::new(&x, &[4, 4, 2]).unwrap(),
        ViewMut::new(&mut out, &[2, 2, 2]).unwrap(),
    )
    .unwrap();
    assert_eq!(out, [5.0, 6.0, 9.0, 10.0, 21.0, 22.0, 25.0, 26.0]);
    for shape in [[0, 2, 4, 4], [1, 0, 4, 4]] {
        let to = [shape[0], shape[1], 2, 2];
        max_pool2d(
            &ctx,
            &pool,
            View::new(&[], &shape).unwrap(),
            ViewMut::new(&mut [], &to).unwrap(),
            None,
        )
        .unwrap();
    }
}

#[test]
fn ceil_mode_and_padding_as_torch() {
    let size = |kernel, stride, padding, ceil_mode, input| {
        let pool = Pool2d {
            stride: Some([stride; 2]),
            padding: [padding; 4],
            ceil_mode,
            ..Pool2d::new([kernel; 2])
        };
        pool.output_size("pool", [input; 2]).map(|s| s[0]).ok()
    };
    assert_eq!(size(2, 2, 0, true, 5), Some(3));
    assert_eq!(size(2, 2, 0, false, 5), Some(2));
    // The last window would start in the padding behind the input.
    assert_eq!(size(2, 2, 1, true, 4), Some(3));
    assert_eq!(size(1, 3, 0, true, 2), Some(1));
    assert_eq!(size(3, 2, 1, false, 112), Some(56));
    assert_eq!(size(3, 1, 3, false, 9), None);
    assert_eq!(size(5, 1, 0, false, 4), None);
}

#[test]
fn errors_name_the_argument() {
    let ctx = context(isas()[0], 1);
    let x = [0.0; 64];
    let run = |pool: &Pool2d, x_shape: &[usize], to: &[usize]| {
        let mut out = vec![7.0; to.iter().product()];
        let x = &x[..x_shape.iter().product()];
        let result = max_pool2d(
            &ctx,
            pool,
            View::new(x, x_shape).unwrap(),
            ViewMut::new(&mut out, to).unwrap(),
            None,
        );
        assert!(out.iter().all(|&v| v == 7.0));
        result.unwrap_err().to_string()
    };
    let two = Pool2d::new([2, 2]);
    assert_eq!(
        run(&two, &[1, 4, 4], &[1, 2, 3]),
        "max_pool2d: output has shape [1, 2, 3], expected [1, 2, 2] for input [1, 4, 4]"
    );
    assert_eq!(
        run(&two, &[4, 4], &[2, 2]),
        "max_pool2d: input has 2 dimensions, expected 3 or 4"
    );
    let padded = Pool2d {
        padding: [0, 0, 2, 0],
        ..two
    };
    assert!(run(&padded, &[1, 4, 4], &[1, 2, 3]).contains("padding is 2 and 0 in width"));
    assert!(
        run(&two, &[1, 1, 4], &[1, 1, 2]).contains("spans 2 in height, the padded input has 1")
    );
    for pool in [
        Pool2d::new([0, 2]),
        Pool2d {
            stride: Some([2, 0]),
            ..two
        },
        Pool2d {
            dilation: [0, 1],
            ..two
        },
    ] {
        assert!(run(&pool, &[1, 4, 4], &[1, 2, 2]).contains(" is 0 in "));
    }
    for pool in [
        Pool2d::new([usize::MAX, 2]),
        Pool2d {
            dilation: [usize::MAX, 1],
            ..two
        },
        Pool2d {
            stride: Some([usize::MAX, 1]),
            ..two
        },
    ] {
        assert!(run(&pool, &[1, 4, 4], &[1, 2, 2]).contains("overflow"));
    }
}
