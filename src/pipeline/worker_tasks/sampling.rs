//! How a task has its frames sampled: a phase_config where it has one, else single numbers over its preset's.

use serde_json::Value;

use super::{
    Draft, Ignored,
    json::{JsonObject, JsonValueAt, first},
    loras::{self, Family},
    phase_config::{PhaseConfig, PhaseConfigError},
};
use crate::pipeline::{
    job::schedule::{Grid, Solver},
    options::{Guidance, Seed, SegmentSampling},
    types::error::Reportable,
};

/// Why it is refused.
pub(super) const SVI: &str = "SVI chains segments by a model of its own, which is not here";

/// `phased`: where a phase_config may stand; `loose`: where single numbers may. The first that says something counts.
pub(super) fn read(phased: &[&JsonObject], loose: &[&JsonObject], family: Family, draft: &mut Draft) {
    let single = Single::read(loose);
    // The worker always drew its noise and its levels as Wan2GP does.
    draft.values.wan.grid = Some(Grid::Wan2gp);
    let zero_step = loose.iter().find_map(|fields| fields.read("cfg_zero_step", JsonValueAt::integer));
    draft.values.wan.cfg_zero_steps = zero_step.and_then(|step| usize::try_from(step + 1).ok());
    for key in ["latent_noise_mask_strength", "vid2vid_init_video"] {
        if let Some(spot) = loose.iter().find_map(|fields| fields.at(key))
            && !spot.is_zero()
        {
            draft.differs(spot.place().into(), "made from noise alone, not from frames that were there");
        }
    }
    let replacing = match family {
        Family::Join => None,
        Family::Travel => loras::of_segment(phased, draft),
    };
    let beside = loras::beside(loose, family, draft);

    let configs: Vec<JsonValueAt> = phased.iter().filter_map(|fields| fields.at("phase_config")).collect();
    for other in configs.iter().skip(1).filter(|other| other.value() != configs[0].value()) {
        draft.conflict(format!("{} and {} differ: the first counts", configs[0].place(), other.place()));
    }
    let loras = match configs.first() {
        Some(spot) => {
            let Some(config) = config(spot, draft) else { return };
            single.compare(spot.place(), &config, draft);
            let own = loras::of_config(spot.place(), &config);
            if !beside.is_empty() {
                loras::compare(spot.place(), &own, &beside, draft);
            }
            draft.has_phase_config = true;
            let PhaseConfig { phases, shift, solver, .. } = config;
            draft.values.wan.phases = Some(phases);
            draft.values.wan.shift = Some(shift);
            draft.values.wan.solver = Some(solver);
            own
        }
        None => {
            single.ask(draft);
            beside
        }
    };
    let says_all = replacing.is_some() || draft.has_phase_config;
    loras::ask(replacing.unwrap_or(loras), says_all, draft);
}

/// `phase_configs_expanded`: of single segments, in place of all that the way says of sampling. Their LoRAs give way to
/// `loras_per_segment_expanded`.
pub(super) fn of_segments(details: &JsonObject, segments: usize, draft: &mut Draft) {
    let Some(all) = details.read("phase_configs_expanded", |spot| spot.of_segments(segments)) else { return };
    let own = |(segment, spot): (usize, Option<JsonValueAt>)| {
        let spot = spot?;
        let config = config(&spot, draft)?;
        if spot.fields()?.read("svi2pro", JsonValueAt::truth) == Some(true) {
            draft.cannot(&format!("{}.svi2pro", spot.place()), SVI);
        }
        let beside = draft.values.wan.segment_loras.as_ref().and_then(|all| all.get(segment)?.as_ref());
        let said = beside.is_none().then(|| loras::of_config(spot.place(), &config));
        let loras = said.map(|said| loras::asked(said, draft));
        let PhaseConfig { phases, shift, solver, .. } = config;
        Some(SegmentSampling { place: Some(spot.place().into()), phases, shift, solver, loras })
    };
    let own: Vec<_> = all.into_iter().enumerate().map(own).collect();
    draft.has_phase_config |= own.iter().all(Option::is_some);
    draft.values.wan.segment_sampling = Some(own).filter(|own| own.iter().any(Option::is_some));
}

/// What it says. Keys of it that mean nothing, and what it says wrongly of itself, are noted.
fn config(spot: &JsonValueAt, draft: &mut Draft) -> Option<PhaseConfig> {
    // As text it is as good as an object.
    let value = match spot.value() {
        Value::String(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        value => value,
    };
    let placed = |told: &str| format!("{}{}", spot.place(), told.strip_prefix("phase_config").unwrap_or(told));
    match PhaseConfig::read(&value) {
        Ok(config) => {
            let unknown = config.ignored.iter();
            let ignored = unknown.map(|key| Ignored { place: placed(key), reason: "no key of a phase_config".into() });
            draft.notes.borrow_mut().ignored.extend(ignored);
            config.warnings.iter().for_each(|warning| draft.conflict(placed(warning)));
            Some(config)
        }
        Err(PhaseConfigError::Type { path, wanted, found }) => {
            let path = path.strip_prefix("phase_config").unwrap_or(&path);
            spot.wrong_at(path, wanted, &found)
        }
        Err(error) => {
            let wanted = error.details().wanted.unwrap_or_default();
            spot.wrong_at("", &wanted, &error.to_string())
        }
    }
}

/// The numbers of a phase_config, each by itself.
struct Single {
    steps: Option<usize>,
    guidance: [Option<f64>; 3],
    shift: Option<f64>,
    solver: Option<Solver>,
    thresholds: Vec<f64>,
    phases: Option<usize>,
    switch: Option<usize>,
}

impl Single {
    fn read(places: &[&JsonObject]) -> Self {
        let keys = |key| places.iter().map(|fields| (*fields, key)).collect::<Vec<_>>();
        let number = |key| first(&keys(key), JsonValueAt::number);
        let whole = |key| first(&keys(key), JsonValueAt::whole);
        Self {
            steps: first(&keys("num_inference_steps"), positive),
            guidance: ["guidance_scale", "guidance2_scale", "guidance3_scale"].map(number),
            shift: number("flow_shift"),
            solver: first(&keys("sample_solver"), solver),
            thresholds: ["switch_threshold", "switch_threshold2"].into_iter().filter_map(number).collect(),
            phases: whole("guidance_phases"),
            switch: whole("model_switch_phase"),
        }
    }

    /// Over what the preset says.
    fn ask(self, draft: &mut Draft) {
        let Self { steps, guidance, shift, solver, thresholds, phases, switch } = self;
        let values = &mut draft.values;
        values.wan.steps = steps;
        let said = guidance.iter().rposition(Option::is_some).map(|last| guidance[..=last].to_vec());
        values.wan.guidance = said.map(Guidance::Some);
        values.wan.shift = shift;
        values.wan.solver = solver;
        values.wan.thresholds = (!thresholds.is_empty()).then_some(thresholds);
        if phases.is_some() || switch.is_some() {
            let why = "without a phase_config the preset says which expert makes which steps";
            draft.differs("guidance_phases, model_switch_phase".into(), why);
        }
    }

    /// With what counts instead.
    fn compare(&self, place: &str, config: &PhaseConfig, draft: &mut Draft) {
        let Self { steps, guidance, shift, solver, thresholds, phases, switch } = self;
        let mut differ = |what: &str, said: String, counts: String| {
            draft.conflict(format!("{what} says {said}, and {place} comes to {counts}, which counts"));
        };
        let sum: usize = config.phases.iter().map(|phase| phase.steps).sum();
        if let Some(steps) = steps.filter(|steps| *steps != sum) {
            differ("num_inference_steps", steps.to_string(), sum.to_string());
        }
        for (at, (said, phase)) in guidance.iter().zip(&config.phases).enumerate() {
            if let Some(said) = said.filter(|said| *said != phase.guidance) {
                let key = if at == 0 { "guidance_scale".into() } else { format!("guidance{}_scale", at + 1) };
                differ(&key, said.to_string(), phase.guidance.to_string());
            }
        }
        if let Some(shift) = shift.filter(|shift| *shift != config.shift) {
            differ("flow_shift", shift.to_string(), config.shift.to_string());
        }
        if let Some(solver) = solver.filter(|solver| *solver != config.solver) {
            differ("sample_solver", solver.to_string(), config.solver.to_string());
        }
        // Stored thresholds carry the rounding of f32, or of a JSON writer.
        let own = config.thresholds();
        let far = thresholds.len() > own.len()
            || thresholds.iter().zip(&own).any(|(said, own)| (said - f64::from(*own)).abs() > 1e-3);
        if far {
            differ("switch_threshold", format!("{thresholds:?}"), format!("{own:?}"));
        }
        if let Some(phases) = phases.filter(|phases| *phases != config.phases.len()) {
            differ("guidance_phases", phases.to_string(), config.phases.len().to_string());
        }
        if let Some(switch) = switch.filter(|switch| *switch != config.high_phases) {
            differ("model_switch_phase", switch.to_string(), config.high_phases.to_string());
        }
    }
}

/// -1 is random.
pub(super) fn seed(spot: &JsonValueAt) -> Option<Seed> {
    match spot.integer()? {
        -1 => Some(Seed::Random),
        seed => match u64::try_from(seed) {
            Ok(seed) => Some(Seed::Fixed(seed)),
            Err(_) => spot.wrong("a seed from 0 up, or -1"),
        },
    }
}

fn positive(spot: &JsonValueAt) -> Option<usize> {
    match spot.whole()? {
        steps @ 1..=1000 => Some(steps),
        _ => spot.wrong("1 to 1000 steps"),
    }
}

/// By the names that the worker's sampler took.
fn solver(spot: &JsonValueAt) -> Option<Solver> {
    match spot.text()?.as_str() {
        "euler" => Some(Solver::Euler),
        "" | "unipc" => Some(Solver::Unipc),
        "dpm++" | "dpm++_sde" => Some(Solver::Dpmpp),
        "lcm" => Some(Solver::Lcm),
        _ => spot.wrong("euler, unipc, dpm++ or lcm"),
    }
}
