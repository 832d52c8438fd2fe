//! What lies around the tensors is not touched: each stands alone in a page between two that fault, right behind the first or
//! right before the second, on every tier.

#[path = "../../src/simd/tests/guard.rs"]
mod pages;

use super::{CANARY, Case, Type, count, last_error};
use omma::capi::*;
use omma::simd::{Isa, Tier};
use pages::Guarded;

impl Case {
    /// The results are those of ordinary memory. A tensor that is larger than a page has such memory.
    pub fn check_guarded(&self, isa: Isa) {
        let ctx = Context::new(isa.tier());
        let mut laid = self.lay();
        let tensors: Vec<*const OmmaTensor> = laid.iter().map(|l| &raw const l.tensor).collect();
        let status = (self.call)(ctx.0, self.params_ptr(), &tensors);
        let (op, tier) = (self.op, isa.tier().name());
        assert_eq!(status, OMMA_OK, "{op} on {tier}: {}", last_error());
        let expected = self.results(&mut laid, "ordinary memory");
        for at_end in [false, true] {
            let pages: Vec<Guarded> = self.args.iter().map(|_| Guarded::new(CANARY)).collect();
            let mut laid = self.lay();
            let mut memory = Vec::new();
            for ((arg, page), laid) in self.args.iter().zip(&pages).zip(&mut laid) {
                let len = arg.data.len();
                if len > page.len() {
                    memory.push(None);
                    continue;
                }
                let place = if at_end {
                    page.before_end(len)
                } else {
                    page.start()
                };
                if !arg.is_output {
                    // SAFETY: the page has room for it.
                    unsafe { place.copy_from_nonoverlapping(arg.data.as_ptr(), len) };
                }
                laid.tensor.data = place.cast();
                memory.push(Some(place));
            }
            let tensors: Vec<*const OmmaTensor> =
                laid.iter().map(|l| &raw const l.tensor).collect();
            let status = (self.call)(ctx.0, self.params_ptr(), &tensors);
            assert_eq!(status, OMMA_OK, "{op} on {tier}: {}", last_error());
            let outputs = self.args.iter().zip(&mut laid).zip(&memory);
            let got: Vec<Vec<u8>> = outputs
                .filter(|((arg, _), _)| arg.is_output)
                .map(|((arg, laid), place)| match place {
                    // SAFETY: in the page, which lives.
                    Some(at) => unsafe { std::slice::from_raw_parts(*at, arg.data.len()) }.to_vec(),
                    None => laid.take(),
                })
                .collect();
            assert_eq!(got, expected, "{op} on {tier}, at the end: {at_end}");
        }
    }

    /// The same call with other shapes of the arguments that are named, and as many values.
    fn grown(mut self, shapes: &[(&str, &[i64])]) -> Case {
        for &(name, shape) in shapes {
            let arg = self.args.iter_mut().find(|arg| arg.name == name);
            let arg = arg.unwrap_or_else(|| panic!("{} has no {name}", self.export));
            let (size, old) = (arg.ty.size(), std::mem::take(&mut arg.data));
            let elements = old
                .chunks_exact(size)
                .cycle()
                .take(count(shape))
                .enumerate();
            let number = old.len() / size;
            // Each time round the values are somewhat larger, but for the numbers of images in RoIs.
            let more = |i: usize| {
                if name == "rois" {
                    0.0
                } else {
                    0.37 * (i / number) as f32
                }
            };
            arg.data = elements
                .flat_map(|(i, element)| match arg.ty {
                    Type::F32 => {
                        let value = f32::from_ne_bytes(element.try_into().unwrap());
                        (value + more(i)).to_ne_bytes().to_vec()
                    }
                    _ => element.to_vec(),
                })
                .collect();
            arg.shape = shape.to_vec();
        }
        self
    }

    fn shape(&self, name: &str) -> Vec<i64> {
        let arg = self.args.iter().find(|arg| arg.name == name);
        arg.map_or(Vec::new(), |arg| arg.shape.clone())
    }
}

/// A context of a tier, on one thread.
struct Context(*mut OmmaContext);

impl Context {
    fn new(tier: Tier) -> Context {
        // SAFETY: plain data, for which zeros are the defaults.
        let mut options: OmmaContextOptions = unsafe { std::mem::zeroed() };
        options.struct_size = size_of::<OmmaContextOptions>() as u32;
        options.num_threads = 1;
        options.max_isa = match tier {
            Tier::Portable => OMMA_ISA_PORTABLE,
            Tier::Neon => OMMA_ISA_NEON,
            Tier::Avx2 => OMMA_ISA_AVX2,
            Tier::Avx512 => OMMA_ISA_AVX512,
        };
        let mut context = std::ptr::null_mut();
        // SAFETY: valid options, a place for the result.
        let status = unsafe { omma_context_create(&options, &mut context) };
        assert_eq!(status, OMMA_OK, "{}", last_error());
        Context(context)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: made by `new`, and destroyed once.
        unsafe { omma_context_destroy(self.0) };
    }
}

/// Of those exports whose kernels take many elements at a time: calls with whole vectors and a part of one.
pub fn grown(cases: Vec<Case>) -> Vec<Case> {
    let grow = |case: Case| {
        let layout = |case: &Case| match case.shape("x").ends_with(&[7])
            || case.shape("dx").ends_with(&[7])
        {
            true => ([2, 3, 5, 23], [11, 3, 2, 3]),
            false => ([2, 5, 7, 19], [11, 2, 3, 19]),
        };
        Some(match case.export {
            "omma_matmul" => {
                case.grown(&[("a", &[17, 19]), ("b", &[19, 33]), ("output", &[17, 33])])
            }
            "omma_linear" => case.grown(&[
                ("input", &[9, 37]),
                ("weight", &[25, 37]),
                ("bias", &[25]),
                ("output", &[9, 25]),
            ]),
            "omma_attention" => {
                let queries = case.shape("q")[2];
                case.grown(&[
                    ("q", &[1, 4, queries, 13]),
                    ("k", &[1, 2, 21, 13]),
                    ("v", &[1, 2, 21, 11]),
                    ("output", &[1, 4, queries, 11]),
                    ("log_sum_exp", &[1, 4, queries]),
                ])
            }
            "omma_box_iou" => {
                case.grown(&[("a", &[33, 4]), ("b", &[31, 4]), ("output", &[33, 31])])
            }
            "omma_box_iou_elementwise" => {
                case.grown(&[("a", &[67, 4]), ("b", &[67, 4]), ("output", &[67])])
            }
            "omma_box_iou_3d" => {
                case.grown(&[("a", &[13, 6]), ("b", &[37, 6]), ("output", &[13, 37])])
            }
            "omma_box_convert" => case.grown(&[("boxes", &[131, 4]), ("output", &[131, 4])]),
            "omma_nms" => case.grown(&[
                ("boxes", &[251, 4]),
                ("scores", &[251]),
                ("indices", &[251]),
            ]),
            "omma_batched_nms" => case.grown(&[
                ("boxes", &[251, 4]),
                ("scores", &[251]),
                ("classes", &[251]),
                ("indices", &[251]),
            ]),
            "omma_nms_per_image" => case.grown(&[
                ("boxes", &[2, 61, 4]),
                ("scores", &[2, 61]),
                ("classes", &[2, 61]),
                ("indices", &[2, 61]),
                ("counts", &[2]),
            ]),
            "omma_soft_nms" => case.grown(&[
                ("boxes", &[61, 4]),
                ("scores", &[61]),
                ("indices", &[61]),
                ("kept_scores", &[61]),
            ]),
            "omma_matrix_nms" => case.grown(&[
                ("boxes", &[61, 4]),
                ("scores", &[61]),
                ("classes", &[61]),
                ("indices", &[61]),
                ("kept_scores", &[61]),
            ]),
            export if export.starts_with("omma_roi_") => {
                let (map, bins) = layout(&case);
                let rois = [11, case.shape("rois")[1]];
                let mut shapes: Vec<(&str, &[i64])> = vec![("rois", &rois)];
                for (name, shape) in [
                    ("x", &map[..]),
                    ("dx", &map),
                    ("dy", &bins),
                    ("output", &bins),
                    ("argmax", &bins),
                    ("batch_indices", &[11]),
                ] {
                    if !case.shape(name).is_empty() {
                        shapes.push((name, shape));
                    }
                }
                case.grown(&shapes)
            }
            "omma_pairwise_distance" if case.shape("covariance").is_empty() => {
                case.grown(&[("a", &[19, 13]), ("b", &[37, 13]), ("output", &[19, 37])])
            }
            "omma_kmeans_assign" => case.grown(&[
                ("x", &[61, 13]),
                ("centroids", &[9, 13]),
                ("labels", &[61]),
                ("distances", &[61]),
            ]),
            "omma_kmeans" => case.grown(&[
                ("x", &[61, 13]),
                ("init", &[9, 13]),
                ("sample_weight", &[61]),
                ("labels", &[61]),
                ("centroids", &[9, 13]),
            ]),
            "omma_kmeans_accumulate" => case.grown(&[
                ("x", &[61, 3]),
                ("centroids", &[21, 3]),
                ("sample_weight", &[61]),
                ("sums", &[21, 3]),
                ("counts", &[21]),
                ("labels", &[61]),
            ]),
            "omma_mean_shift" => case.grown(&[
                ("x", &[61, 5]),
                ("seeds", &[7, 5]),
                ("labels", &[61]),
                ("centers", &[61, 5]),
            ]),
            "omma_knn" => case.grown(&[
                ("queries", &[9, 2]),
                ("data", &[61, 2]),
                ("indices", &[9, 17]),
                ("distances", &[9, 17]),
            ]),
            "omma_match_descriptors" => case.grown(&[
                ("a", &[31, 21]),
                ("b", &[37, 21]),
                ("pairs", &[31, 2]),
                ("distances", &[31]),
            ]),
            "omma_linear_assignment" => {
                let wide = case.shape("cost") == [2, 3];
                let cost = if wide { [17, 19] } else { [19, 17] };
                case.grown(&[("cost", &cost), ("rows", &[17]), ("cols", &[17])])
            }
            _ => return None,
        })
    };
    cases.into_iter().filter_map(grow).collect()
}
