export const tasks = [{ kind: "greet" }]
