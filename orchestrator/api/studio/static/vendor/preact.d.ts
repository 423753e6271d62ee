// What the studio uses of htm/preact/standalone.
export interface VNode {
  type: unknown;
  props: unknown;
}
export type Child = VNode | string | number | boolean | null | undefined | Child[];
export interface Ref<T> {
  current: T;
}
export function html(strings: TemplateStringsArray, ...values: unknown[]): VNode;
export function render(node: Child, parent: Element): void;
export function useState<T>(initial: T | (() => T)): [T, (value: T | ((before: T) => T)) => void];
export function useReducer<S, A>(reducer: (state: S, action: A) => S, initial: S): [S, (action: A) => void];
export function useEffect(effect: () => void | (() => void), inputs?: readonly unknown[]): void;
export function useLayoutEffect(effect: () => void | (() => void), inputs?: readonly unknown[]): void;
export function useRef<T>(initial: T): Ref<T>;
export function useMemo<T>(factory: () => T, inputs?: readonly unknown[]): T;
