//! Attention against a plain loop in f64, on every tier.

mod common;

use common::{Random, cases, context, isas};
use omma::attention::{Attention, Mask, attention};
use omma::runtime::Context;
use omma::tensor::{Bool, View, ViewMut};

/// What a case is, and its arrays, compact.
#[derive(Clone, Debug)]
struct Case {
    /// B, H, G, N, M, D, E.
    sizes: [usize; 7],
    options: Attention,
    mask: Option<(bool, Vec<usize>)>,
    lay: Lay,
}

/// How arrays lie in memory.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lay {
    Compact,
    /// (B, N, H, D) in memory.
    TokensFirst,
    /// Elements of a vector are apart, and backwards.
    Scattered,
}

struct Arrays {
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    mask: Vec<f32>,
}

impl Case {
    fn new(sizes: [usize; 7]) -> Case {
        Case {
            sizes,
            options: Attention::default(),
            mask: None,
            lay: Lay::Compact,
        }
    }

    fn arrays(&self, random: &mut Random) -> Arrays {
        let [b, h, g, n, m, d, e] = self.sizes;
        // A sum of uniform numbers is nearly normal; this one has variance 1.
        let mut normal = |len: usize| -> Vec<f32> {
            (0..len)
                .map(|_| (0..3).map(|_| random.float()).sum())
                .collect()
        };
        let (q, k, v) = (
            normal(b * h * n * d),
            normal(b * g * m * d),
            normal(b * g * m * e),
        );
        let mask = match &self.mask {
            None => vec![],
            Some((select, shape)) => (0..shape.iter().product())
                .map(|_| match select {
                    true => f32::from(u8::from(random.range(0, 2) > 0)),
                    false if random.range(0, 9) == 0 => f32::NEG_INFINITY,
                    false => random.float() * 2.0,
                })
                .collect(),
        };
        Arrays { q, k, v, mask }
    }

    /// What the mask adds, -inf for a hidden key.
    fn added(&self, arrays: &Arrays, at: [usize; 4]) -> f64 {
        let Some((select, shape)) = &self.mask else {
            return 0.0;
        };
        let mut index = 0;
        for (axis, &dim) in shape.iter().enumerate() {
            let at = at[4 - shape.len() + axis];
            index = index * dim + if dim == 1 { 0 } else { at };
        }
        match (select, arrays.mask[index]) {
            (true, value) if value != 0.0 => 0.0,
            (true, _) => f64::NEG_INFINITY,
            (false, value) => f64::from(value),
        }
    }

    /// Outputs and logarithms in f64.
    fn oracle(&self, arrays: &Arrays) -> (Vec<f64>, Vec<f64>) {
        let [b, h, g, n, m, d, e] = self.sizes;
        let scale = match self.options.scale {
            Some(scale) => f64::from(scale),
            None => 1.0 / (d.max(1) as f64).sqrt(),
        };
        let (mut out, mut logs) = (vec![], vec![]);
        for at in 0..b * h * n {
            let (batch, head, query) = (at / (h * n), at / n % h, at % n);
            let group = batch * g + head / (h / g);
            let q = &arrays.q[at * d..][..d];
            let mut logits = vec![f64::NEG_INFINITY; m];
            for (key, logit) in logits.iter_mut().enumerate() {
                let hidden = self
                    .options
                    .causal
                    .is_some_and(|offset| key as i64 > query as i64 + offset);
                let add = self.added(arrays, [batch, head, query, key]);
                if hidden || add == f64::NEG_INFINITY {
                    continue;
                }
                let k = &arrays.k[(group * m + key) * d..][..d];
                let dot: f64 = q
                    .iter()
                    .zip(k)
                    .map(|(q, k)| f64::from(*q) * f64::from(*k))
                    .sum();
                *logit = dot * scale;
                if let Some(cap) = self.options.softcap {
                    *logit = f64::from(cap) * (*logit / f64::from(cap)).tanh();
                }
                *logit += add;
            }
            let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let base = if max == f64::NEG_INFINITY { 0.0 } else { max };
            let mut sum = 0.0;
            let mut row = vec![0.0; e];
            for (key, logit) in logits.iter().enumerate() {
                if *logit == f64::NEG_INFINITY {
                    continue;
                }
                let weight = (logit - base).exp();
                sum += weight;
                let v = &arrays.v[(group * m + key) * e..][..e];
                for (x, v) in row.iter_mut().zip(v) {
                    *x += weight * f64::from(*v);
                }
            }
            let none = sum == 0.0;
            out.extend(row.iter().map(|x| if none { 0.0 } else { x / sum }));
            logs.push(base + sum.ln());
        }
        (out, logs)
    }

    fn run(&self, ctx: &Context, arrays: &Arrays) -> (Vec<f32>, Vec<f32>) {
        let [b, h, g, n, m, d, e] = self.sizes;
        let q = Laid::new(&arrays.q, [b, h, n, d], self.lay);
        let k = Laid::new(&arrays.k, [b, g, m, d], self.lay);
        let v = Laid::new(&arrays.v, [b, g, m, e], self.lay);
        let mut out = Laid::new(&vec![7.0; b * h * n * e], [b, h, n, e], self.lay);
        let mut logs = vec![7.0; b * h * n];
        let truth: Vec<Bool> = arrays.mask.iter().map(|v| Bool(*v as u8 * 3)).collect();
        let mask = self.mask.as_ref().map(|(select, shape)| match select {
            true => Mask::Select(View::new(&truth, shape).unwrap()),
            false => Mask::Add(View::new(&arrays.mask, shape).unwrap()),
        });
        attention(
            ctx,
            &self.options,
            &q.view(),
            &k.view(),
            &v.view(),
            mask,
            out.view_mut(),
            Some(ViewMut::new(&mut logs, &[b, h, n]).unwrap()),
        )
        .unwrap();
        (out.values(), logs)
    }

    fn check(&self, ctx: &Context, random: &mut Random) {
        let arrays = self.arrays(random);
        let (out, logs) = self.run(ctx, &arrays);
        self.compare(ctx, (&out, &logs), &self.oracle(&arrays), 2e-5);
    }

    fn compare(
        &self,
        ctx: &Context,
        got: (&[f32], &[f32]),
        want: &(Vec<f64>, Vec<f64>),
        limit: f64,
    ) {
        let all = got.0.iter().zip(&want.0).chain(got.1.iter().zip(&want.1));
        for (at, (&got, &want)) in all.enumerate() {
            let got = f64::from(got);
            let near = (got - want).abs() <= limit * want.abs().max(1.0);
            assert!(
                near || got == want || (got.is_nan() && want.is_nan()),
                "{self:?} on {:?}: element {at} is {got}, not {want}",
                ctx.isa()
            );
        }
    }
}

/// An array of four dimensions somewhere in memory.
struct Laid {
    data: Vec<f32>,
    offset: usize,
    shape: [usize; 4],
    strides: [isize; 4],
}

impl Laid {
    fn new(values: &[f32], shape: [usize; 4], lay: Lay) -> Laid {
        let [b, h, n, d] = shape.map(|dim| dim as isize);
        let (strides, offset, len) = match lay {
            Lay::Compact => ([h * n * d, n * d, d, 1], 0, b * h * n * d),
            Lay::TokensFirst => ([n * h * d, d, h * d, 1], 0, b * h * n * d),
            Lay::Scattered => (
                [h * n * d * 3, n * d * 3, d * 3, -3],
                3 * (d - 1).max(0),
                3 * b * h * n * d,
            ),
        };
        let mut laid = Laid {
            data: vec![f32::NAN; len as usize],
            offset: offset as usize,
            shape,
            strides,
        };
        for (at, value) in values.iter().enumerate() {
            let place = laid.place(at);
            laid.data[place] = *value;
        }
        laid
    }
    fn place(&self, at: usize) -> usize {
        let [_, h, n, d] = self.shape;
        let index = [at / (h * n * d), at / (n * d) % h, at / d % n, at % d];
        let mut place = self.offset as isize;
        for (index, stride) in index.iter().zip(self.strides) {
            place += *index as isize * stride;
        }
        place as usize
    }
    fn view(&self) -> View<'_, f32> {
        View::strided(&self.data, self.offset, &self.shape, &self.strides).unwrap()
    }
    fn view_mut(&mut self) -> ViewMut<'_, f32> {
        ViewMut::strided(&mut self.data, self.offset, &self.shape, &self.strides).unwrap()
    }
    fn values(&self) -> Vec<f32> {
        (0..self.shape.iter().product())
            .map(|at| self.data[self.place(at)])
            .collect()
    }
}

#[test]
fn random_options_match_the_oracle() {
    for isa in isas() {
        let (ctx, mut random) = (context(isa, 2), Random(1));
        for _ in 0..cases(300) {
            let group = random.range(1, 3);
            let sharing = random.range(1, 3);
            let sizes = [
                random.range(1, 2),
                group * sharing,
                group,
                [1, 2, 3, 5, 9, 17, 33, 70][random.range(0, 7)],
                [0, 1, 2, 7, 31, 95, 96, 97, 130, 200][random.range(0, 9)],
                [0, 1, 3, 8, 13, 16, 32, 40, 64][random.range(0, 8)],
                [0, 1, 4, 7, 15, 16, 33, 64][random.range(0, 7)],
            ];
            let [b, h, _, n, m, ..] = sizes;
            let mut case = Case::new(sizes);
            case.lay = [Lay::Compact, Lay::TokensFirst, Lay::Scattered][random.range(0, 2)];
            if random.range(0, 1) == 1 {
                let some = |random: &mut Random, dim| if random.range(0, 1) == 1 { dim } else { 1 };
                let shape: Vec<usize> = [b, h, n, m].map(|dim| some(&mut random, dim)).to_vec();
                let rank = random.range(0, 4);
                case.mask = Some((random.range(0, 1) == 1, shape[4 - rank..].to_vec()));
            }
            if random.range(0, 2) == 0 {
                case.options.causal = Some(random.range(0, 40) as i64 - 10);
            }
            if random.range(0, 3) == 0 {
                case.options.scale = Some(random.float());
            }
            if random.range(0, 3) == 0 {
                case.options.softcap = Some(random.range(1, 50) as f32);
            }
            case.check(&ctx, &mut random);
        }
    }
}

#[test]
fn sizes_around_every_tile() {
    for isa in isas() {
        let (ctx, mut random) = (context(isa, 1), Random(2));
        for rows in (1..20).chain([31, 32, 33, 63, 65, 127, 128, 129]) {
            Case::new([1, 1, 1, rows, 40, 24, 20]).check(&ctx, &mut random);
        }
        for keys in (0..18).chain([95, 96, 97, 191, 192, 193, 255, 256, 257]) {
            for rows in [2, 20] {
                Case::new([1, 1, 1, rows, keys, 9, 8]).check(&ctx, &mut random);
            }
        }
        for dim in 0..40 {
            for rows in [1, 19] {
                Case::new([1, 2, 1, rows, 50, dim, 39 - dim]).check(&ctx, &mut random);
            }
        }
    }
}

#[test]
fn keys_are_split_and_merged() {
    for isa in isas() {
        let (ctx, mut random) = (context(isa, 2), Random(3));
        for (rows, keys) in [(1, 2500), (3, 1100), (40, 1500)] {
            let mut case = Case::new([1, 2, 1, rows, keys, 16, 12]);
            case.check(&ctx, &mut random);
            // Some parts are seen by no row, or by some.
            for offset in [-2, 0, 600, keys as i64 - 10] {
                case.options.causal = Some(offset);
                case.check(&ctx, &mut random);
            }
            case.options.causal = None;
            case.mask = Some((true, vec![rows, keys]));
            case.check(&ctx, &mut random);
        }
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    for isa in isas() {
        let mut random = Random(4);
        for sizes in [[2, 4, 2, 150, 300, 32, 32], [1, 2, 1, 2, 3000, 32, 32]] {
            let case = Case::new(sizes);
            let arrays = case.arrays(&mut random);
            let one = case.run(&context(isa, 1), &arrays);
            for threads in [2, 3, 7] {
                let other = case.run(&context(isa, threads), &arrays);
                assert!(
                    one.0
                        .iter()
                        .zip(&other.0)
                        .all(|(a, b)| a.to_bits() == b.to_bits())
                );
                assert_eq!(one.1, other.1);
            }
        }
    }
}

#[test]
fn hidden_keys_do_not_leak() {
    for isa in isas() {
        let (ctx, mut random) = (context(isa, 1), Random(5));
        for poison in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for rows in [1, 5, 40] {
                for select in [true, false] {
                    let [m, d, e] = [150, 16, 11];
                    let mut case = Case::new([1, 1, 1, rows, m, d, e]);
                    case.mask = Some((select, vec![1, m]));
                    let mut arrays = case.arrays(&mut random);
                    for key in 0..m {
                        if [0.0, f32::NEG_INFINITY][usize::from(!select)] == arrays.mask[key] {
                            arrays.k[key * d..][..d].fill(poison);
                            arrays.v[key * e..][..e].fill(poison);
                        }
                    }
                    let (out, logs) = case.run(&ctx, &arrays);
                    case.compare(&ctx, (&out, &logs), &case.oracle(&arrays), 2e-5);
                }
                // Rows before the poisoned key do not see it, those after it do.
                let [m, d, e] = [150, 16, 11];
                let mut case = Case::new([1, 1, 1, rows, m, d, e]);
                case.options.causal = Some(90);
                let mut arrays = case.arrays(&mut random);
                let bad = 90 + rows.div_ceil(2);
                arrays.v[bad * e..][..e].fill(poison);
                arrays.k[bad * d + 3] = f32::NAN;
                let (out, logs) = case.run(&ctx, &arrays);
                let want = case.oracle(&arrays);
                let seen = rows.div_ceil(2).min(rows);
                let (good, poisoned) = out.split_at(seen * e);
                let first = (want.0[..seen * e].to_vec(), want.1[..seen].to_vec());
                case.compare(&ctx, (good, &logs[..seen]), &first, 2e-5);
                assert!(poisoned.iter().all(|x| x.is_nan()), "{isa:?} {rows}");
            }
        }
    }
}

#[test]
fn rows_that_see_nothing_are_zero() {
    for isa in isas() {
        let (ctx, mut random) = (context(isa, 1), Random(6));
        for (rows, keys) in [(1, 30), (50, 200), (30, 0), (4, 0)] {
            let mut case = Case::new([1, 1, 1, rows, keys, 8, 8]);
            case.options.causal = Some(-(rows as i64));
            let arrays = case.arrays(&mut random);
            let (out, logs) = case.run(&ctx, &arrays);
            assert!(out.iter().all(|x| *x == 0.0));
            assert!(logs.iter().all(|x| *x == f32::NEG_INFINITY));
        }
    }
}

#[test]
fn large_logits() {
    for isa in isas() {
        let (ctx, mut random) = (context(isa, 1), Random(7));
        for rows in [2, 30] {
            let mut case = Case::new([1, 1, 1, rows, 220, 8, 8]);
            case.options.scale = Some(1.0);
            let mut arrays = case.arrays(&mut random);
            // Whole numbers, so that every product is exact: logits up to 1e4 in steps of 1.
            for (at, x) in arrays.q.iter_mut().enumerate() {
                *x = if at % 8 == 0 {
                    100.0
                } else {
                    (at % 3) as f32 - 1.0
                };
            }
            for (at, x) in arrays.k.iter_mut().enumerate() {
                *x = match at % 8 {
                    0 => ((at / 8 * 7) % 201) as f32 - 100.0,
                    c => ((at / 8 + c) % 5) as f32 - 2.0,
                };
            }
            let (out, logs) = case.run(&ctx, &arrays);
            case.compare(&ctx, (&out, &logs), &case.oracle(&arrays), 2e-6);
            // Masks that stand for "hidden" but are finite.
            case.mask = Some((false, vec![220]));
            arrays.mask = (0..220)
                .map(|key| if key % 3 == 0 { 0.0 } else { f32::MIN })
                .collect();
            let (out, logs) = case.run(&ctx, &arrays);
            case.compare(&ctx, (&out, &logs), &case.oracle(&arrays), 2e-6);
            arrays.mask.fill(-1e30);
            arrays.k.fill(0.0);
            let (out, _) = case.run(&ctx, &arrays);
            let want = case.oracle(&arrays);
            case.compare(&ctx, (&out, &[]), &(want.0, vec![]), 2e-6);
        }
    }
}

#[test]
fn errors_name_both_sides() {
    let ctx = context(isas()[0], 1);
    let data = vec![0f32; 4096];
    let view = |shape: [usize; 4]| View::new(&data[..shape.iter().product()], &shape).unwrap();
    let fail = |options: &Attention, q, k, v, mask: Option<&[usize]>, o: [usize; 4]| {
        let mut out = vec![7.0; o.iter().product()];
        let mask =
            mask.map(|shape| Mask::Add(View::new(&data[..shape.iter().product()], shape).unwrap()));
        let to = ViewMut::new(&mut out, &o).unwrap();
        let error = attention(&ctx, options, &view(q), &view(k), &view(v), mask, to, None);
        assert!(out.iter().all(|x| *x == 7.0));
        error.unwrap_err().message().to_string()
    };
    let plain = Attention::default();
    let (q, k, o) = ([2, 4, 3, 8], [2, 2, 5, 8], [2, 4, 3, 8]);
    assert_eq!(
        fail(&plain, q, [1, 2, 5, 8], k, None, o),
        "attention: k has 1 batches, q has 2"
    );
    assert_eq!(
        fail(&plain, q, [2, 2, 5, 9], k, None, o),
        "attention: k has 9 elements per head, q has 8"
    );
    assert_eq!(
        fail(&plain, q, k, [2, 2, 6, 8], None, o),
        "attention: v has 2 heads of 6, k has 2 of 5"
    );
    assert_eq!(
        fail(&plain, q, [2, 3, 5, 8], [2, 3, 5, 8], None, o),
        "attention: q has 4 heads, which the 3 of k do not divide"
    );
    assert_eq!(
        fail(&plain, q, k, k, None, [2, 4, 3, 7]),
        "attention: output has shape [2, 4, 3, 7], expected [2, 4, 3, 8]"
    );
    assert_eq!(
        fail(&plain, q, k, k, Some(&[2, 3, 5]), o),
        "attention: mask has shape [2, 3, 5], which does not broadcast to [2, 4, 3, 5] \
         (batches, heads, queries, keys)"
    );
    let capped = Attention {
        softcap: Some(-1.0),
        ..plain
    };
    assert_eq!(
        fail(&capped, q, k, k, None, o),
        "attention: softcap is -1, expected a positive number"
    );
}
