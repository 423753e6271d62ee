import js from "@eslint/js";
import globals from "globals";

// The page's own code. Pages are made of text nodes: nothing turns text into HTML or code.
const MARKUP = ["innerHTML", "outerHTML", "insertAdjacentHTML", "dangerouslySetInnerHTML", "srcdoc"];

export default [
  js.configs.recommended,
  {
    files: ["**/*.js"],
    languageOptions: { ecmaVersion: 2024, sourceType: "module", globals: globals.browser },
    rules: {
      eqeqeq: "error",
      "no-var": "error",
      "prefer-const": "error",
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-new-func": "error",
      "no-unused-vars": ["error", { varsIgnorePattern: "^_" }],
      "no-restricted-properties": ["error", ...MARKUP.map((property) => ({ property, message: "text is text" })), { object: "document", property: "write", message: "text is text" }],
      "no-restricted-syntax": ["error", ...MARKUP.map((name) => ({ selector: `Literal[value=/\\b${name}\\b/], TemplateElement[value.raw=/\\b${name}\\b/]`, message: "text is text" }))],
    },
  },
];
