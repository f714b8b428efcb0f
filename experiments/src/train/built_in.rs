//! The recipes that come with the program, as TOML files in `experiments/recipes`.

/// The built-in recipes.
const BUILT_IN: [(&str, &str); 8] = [
    ("stentor2", include_str!("../../recipes/stentor2.toml")),
    ("stentor2-cpu", include_str!("../../recipes/stentor2-cpu.toml")),
    ("spec-24m", include_str!("../../recipes/spec-24m.toml")),
    ("spec-24m-cpu", include_str!("../../recipes/spec-24m-cpu.toml")),
    ("stentor", include_str!("../../recipes/stentor.toml")),
    ("stentor-30m", include_str!("../../recipes/stentor-30m.toml")),
    ("er", include_str!("../../recipes/er.toml")),
    ("nano", include_str!("../../recipes/nano.toml")),
];

/// The recipe of `spec distill`; which model it is for is for the command to say.
const DISTILLING: (&str, &str) = (DISTILL, include_str!("../../recipes/distill.toml"));

/// The name of the recipe of `spec distill`.
pub const DISTILL: &str = "distill";

/// Names of the built-in recipes.
pub fn names() -> Vec<&'static str> {
    BUILT_IN.iter().map(|(name, _)| *name).collect()
}

/// The text of a built-in recipe.
pub fn built_in(name: &str) -> Option<&'static str> {
    let found = BUILT_IN.iter().chain([&DISTILLING]).find(|(own, _)| *own == name);
    found.map(|(_, text)| *text)
}
