//! Whether a device holds the work, and what of the transformer stays on it.

use tch::Kind;
use wanctl::pipeline::job::{
    Dtype, EngineFailure, EngineFailureCode, Event, Offload, Part,
    memory::{self, Need, RowsAtOnce, SLICE, Sizes, Work, giga},
};

use super::{
    Task,
    dit::OffloadMode,
    session::{Session, refused},
};
use crate::engine::torch::{self, shim};

impl Session<'_, '_> {
    /// Decides what of the transformer stays on the device, and how many rows it computes together; says so where layers
    /// leave the device without being requested to, or wait in their files.
    pub(super) fn choose_offload(&mut self) -> Result<(), EngineFailure> {
        memory::host_override().map_err(|problem| EngineFailure::new(EngineFailureCode::Usage, problem))?;
        let sizes = Sizes::of(self.models).map_err(refused)?;
        let beside = self.numbers_beside()?;
        let works: Vec<Work> = self.tasks.iter().map(|task| self.work(task, beside)).collect();
        let (device, has, free) = (torch::name(self.device), torch::memory(self.device), shim::free(self.device)?);
        let share = |bytes: u64| bytes / self.share as u64;
        let free_memory = match self.device.is_cuda() {
            true => FreeMemory { device, has, free, host: memory::host().map(share) },
            false => FreeMemory { device, has: has.map(share), free, host: None },
        };
        let rows = rows(&sizes, &works, &free_memory);
        self.rows = if rows == RowsAtOnce::All { i64::MAX } else { SLICE as i64 };
        self.keep = keep(&sizes, works.iter().map(|work| Work { rows, ..*work }), &free_memory)?;
        let offload = if self.keep == OffloadMode::All { Offload::None } else { Offload::Blocks };
        let needs = works.iter().map(|work| sizes.needs(&Work { rows, offload, ..*work }));
        let largest = needs.max_by_key(|needs| needs.iter().map(|need| need.whole).max());
        self.estimates = largest.into_iter().flatten().map(|need| (need.part, need.whole)).collect();
        let blocks = works.iter().map(|work| sizes.blocks(work)).max().unwrap_or_default();
        if let Some(message) = note(self.keep, self.tasks[0].wan.offload, blocks, &free_memory) {
            (self.say)(&Event::Note { seam: self.tasks[0].seam, message });
        }
        Ok(())
    }

    fn work(&self, Task { wan, head, references, .. }: &Task<'_>, beside: u64) -> Work {
        let dtype = match self.kind {
            Kind::Half => Dtype::F16,
            Kind::BFloat16 => Dtype::Bf16,
            _ => Dtype::F32,
        };
        Work {
            size: head.size,
            frames: head.slots.len(),
            references: *references,
            dtype,
            packed: wan.dtype == Dtype::Fp8,
            beside,
            offload: wan.offload,
            ahead: self.device.is_cuda(),
            rows: RowsAtOnce::Auto,
            vae_tile: wan.vae_tile,
        }
    }
}

/// Bytes, where they are known.
#[derive(Debug, Default)]
struct FreeMemory {
    device: String,
    /// All of the device's memory, used or not.
    has: Option<u64>,
    /// Free device memory in bytes.
    free: Option<u64>,
    /// Of the host, beside a GPU.
    host: Option<u64>,
}

/// All rows at once only where every task can have it so.
fn rows(sizes: &Sizes, works: &[Work], free_memory: &FreeMemory) -> RowsAtOnce {
    let has = free_memory.has.unwrap_or(u64::MAX);
    match works.iter().all(|work| sizes.rows_at_once(work, has) == RowsAtOnce::All) {
        true => RowsAtOnce::All,
        false => RowsAtOnce::Slices,
    }
}

/// Where layers wait, where that is not plain from the options: they cost time there. `blocks`: the bytes of all layers.
fn note(keep: OffloadMode, requested: Offload, blocks: u64, free_memory: &FreeMemory) -> Option<String> {
    let FreeMemory { device, free, has, host } = free_memory;
    let why = match (requested, free.or(*has)) {
        (Offload::Auto, Some(free)) => format!(" ({device} has {} free)", giga(free)),
        _ => String::new(),
    };
    match (keep, host) {
        (OffloadMode::All, _) => None,
        (OffloadMode::Host, _) => {
            Some(format!("--offload blocks{why}: layers wait in the host's memory, {}", giga(blocks)))
        }
        (OffloadMode::One, Some(host)) => Some(format!(
            "--offload blocks{why}: each layer is read from its file when its turn comes, since all of them are {} and \
             the host has {} in all; WANCTL_HOST_MEMORY=64GB states how much it has where that is wrong",
            giga(blocks),
            giga(*host)
        )),
        (OffloadMode::One, None) if requested == Offload::Auto => {
            Some(format!("--offload blocks{why}: each layer is read from its file when its turn comes"))
        }
        (OffloadMode::One, None) => None,
    }
}

/// What of the transformer can stay on a device: all of it if that is enough for every seam, else what the host has room
/// for. Where it lies changes no byte of the frames, so what is free now decides; work that the device could never do is
/// refused.
fn keep(
    sizes: &Sizes,
    works: impl Iterator<Item = Work>,
    free_memory: &FreeMemory,
) -> Result<OffloadMode, EngineFailure> {
    let has = free_memory.has.unwrap_or(u64::MAX);
    let free = free_memory.free.unwrap_or(has);
    let mut keep = OffloadMode::All;
    for work in works {
        memory::refuse(sizes, &work, &free_memory.device, has).map_err(refused)?;
        let fits = |need: &Need| need.part != Part::Denoise || need.whole <= free;
        let stays = match work.offload {
            Offload::Blocks => false,
            Offload::None => true,
            Offload::Auto => sizes.needs(&work).iter().all(fits),
        };
        if !stays {
            // Some of the host's memory is the system's and other programs'.
            let holds = free_memory.host.is_some_and(|host| sizes.blocks(&work) <= host / 4 * 3);
            keep = if holds { OffloadMode::Host } else { OffloadMode::One };
        }
    }
    Ok(keep)
}

#[cfg(test)]
mod tests {
    use wanctl::pipeline::{
        job::{EngineFailureCode, VaeTile},
        types::video::Size,
        weights::{ModelFiles, Wanted},
    };

    use super::*;

    #[test]
    fn layers_leave_the_device_only_where_they_do_not_all_fit_and_what_never_fits_is_refused() {
        let tiny = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/wan/tiny");
        let models = ModelFiles::find(&[Wanted { role: None, path: tiny.into() }]).unwrap();
        let sizes = Sizes::of(&models).unwrap();
        let work = Work {
            size: Size::new(48, 32),
            frames: 13,
            references: 0,
            dtype: Dtype::F32,
            packed: false,
            beside: 0,
            offload: Offload::Auto,
            ahead: false,
            rows: RowsAtOnce::Auto,
            vae_tile: VaeTile::Auto,
        };
        let need = sizes.needs(&work).into_iter().find(|need| need.part == Part::Denoise).unwrap();
        assert!(need.least < need.whole, "{need:?}");
        let of = |offload, has, free| {
            let free_memory = FreeMemory { device: "cpu".into(), has, free, host: None };
            keep(&sizes, [Work { offload, ..work }].into_iter(), &free_memory)
        };
        let keeps = |offload, has| of(offload, has, None).map_err(|trouble| (trouble.code, trouble.message));
        // The other parts need more than this one.
        let enough = sizes.needs(&work).iter().map(|need| need.whole).max();
        assert_eq!(keeps(Offload::Auto, None), Ok(OffloadMode::All));
        assert_eq!(keeps(Offload::Auto, enough), Ok(OffloadMode::All));
        assert_eq!(keeps(Offload::Blocks, enough), Ok(OffloadMode::One));
        let beside_gpu = |host| {
            let work = Work { offload: Offload::Blocks, ahead: true, ..work };
            let free_memory = FreeMemory { device: "cuda:0".into(), has: enough, free: enough, host: Some(host) };
            keep(&sizes, [work].into_iter(), &free_memory).ok()
        };
        let blocks = sizes.blocks(&work);
        assert_eq!(beside_gpu(blocks), Some(OffloadMode::One), "the host has none to spare");
        assert_eq!(beside_gpu(2 * blocks), Some(OffloadMode::Host));
        let beside_another_program = |offload| of(offload, enough, Some(need.whole - 1)).ok();
        assert_eq!(beside_another_program(Offload::Auto), Some(OffloadMode::One));
        assert_eq!(beside_another_program(Offload::None), Some(OffloadMode::All), "as it was asked");
        let (code, message) = keeps(Offload::Auto, Some(1000)).unwrap_err();
        assert_eq!(code, EngineFailureCode::Memory);
        assert!(
            message.contains("13 frames of 48x32 takes at least 0.3 GB of memory, and cpu has 0.0 GB"),
            "{message}"
        );
    }

    #[test]
    fn where_layers_wait_is_reported_with_its_reason_and_its_cure() {
        let free_memory =
            |host| FreeMemory { device: "cuda:0".into(), has: Some(24 << 30), free: Some(20_000_000_000), host };
        assert_eq!(note(OffloadMode::All, Offload::Auto, 28_000_000_000, &free_memory(None)), None);
        assert_eq!(
            note(OffloadMode::Host, Offload::Auto, 28_000_000_000, &free_memory(Some(64_000_000_000))).unwrap(),
            "--offload blocks (cuda:0 has 20.0 GB free): layers wait in the host's memory, 28.0 GB"
        );
        let file = note(OffloadMode::One, Offload::Blocks, 28_000_000_000, &free_memory(Some(4_000_000_000))).unwrap();
        assert!(file.contains("all of them are 28.0 GB and the host has 4.0 GB in all"), "{file}");
        assert!(file.contains("WANCTL_HOST_MEMORY=64GB"), "{file}");
        assert_eq!(
            note(OffloadMode::One, Offload::Blocks, 1, &free_memory(None)),
            None,
            "as requested, and there is no other way"
        );
    }

    #[test]
    fn all_rows_are_computed_together_on_a_gpu_that_holds_them_and_layers_that_stay_come_first() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/wan/tiny");
        let models = ModelFiles::find(&[Wanted { role: None, path: folder.into() }]).unwrap();
        let sizes = Sizes::of(&models).unwrap();
        let work = Work {
            size: Size::new(832, 480),
            frames: 81,
            references: 0,
            dtype: Dtype::Bf16,
            packed: false,
            beside: 0,
            offload: Offload::None,
            ahead: true,
            rows: RowsAtOnce::Auto,
            vae_tile: VaeTile::Auto,
        };
        let need = |work: &Work| {
            sizes.needs(work).into_iter().find(|need| need.part == Part::Denoise).map(|need| (need.least, need.whole))
        };
        let (least, whole) = need(&work).unwrap();
        assert!(least < whole);
        let of = |work: Work, has| {
            rows(&sizes, &[work], &FreeMemory { device: "cuda:0".into(), has: Some(has), free: None, host: None })
        };
        assert_eq!(of(work, whole), RowsAtOnce::All);
        assert_eq!(of(work, whole - 1), RowsAtOnce::Slices);
        let auto = Work { offload: Offload::Auto, ..work };
        assert_eq!(of(auto, whole), RowsAtOnce::All);
        assert_eq!(of(auto, least), RowsAtOnce::Slices, "all layers stay where slices let them");
        assert_eq!(of(Work { ahead: false, ..work }, u64::MAX), RowsAtOnce::Slices, "on the CPU");
        let long = Work { frames: 129, ..work };
        let both = [work, long];
        let free_memory = FreeMemory { device: "cuda:0".into(), has: Some(whole), free: None, host: None };
        assert_eq!(rows(&sizes, &both, &free_memory), RowsAtOnce::Slices, "one task has no room for them");
    }
}
