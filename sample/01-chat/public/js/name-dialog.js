import { find, setText } from './dom.js';
import { tidyName } from './identity.js';
import { sentenceOf } from './sentences.js';

/** @returns a function that asks for a name, and resolves once `accept(name)` took one or the dialog was cancelled */
export function nameDialog() {
  const dialog = find('#name-dialog');
  const form = find('#name-form');
  const field = find('#name');
  const problem = find('#name-error');
  const cancel = find('#name-cancel');

  const complain = (sentence) => {
    problem.textContent = sentence;
    field.setAttribute('aria-invalid', String(sentence !== ''));
    if (sentence !== '') field.focus();
  };

  return ({ name, accept, isOptional = false }) =>
    new Promise((resolve) => {
      cancel.hidden = !isOptional;
      setText(find('#name-title'), isOptional ? 'Change your name' : 'What shall we call you?');
      setText(find('#name-submit'), isOptional ? 'Save' : 'Enter the chat');
      field.value = name;
      complain('');
      let isDone = false;

      const finish = () => {
        isDone = true;
        dialog.close();
      };
      form.onsubmit = async (event) => {
        event.preventDefault();
        const chosen = tidyName(field.value);
        if (chosen === '') return complain('Please enter a name.');
        try {
          await accept(chosen);
          finish();
        } catch (error) {
          complain(sentenceOf(error));
        }
      };
      cancel.onclick = finish;
      // Escape closes a dialog; without a name there is nothing behind this one.
      dialog.oncancel = (event) => isOptional || event.preventDefault();
      dialog.onclose = () => (isOptional || isDone ? resolve() : dialog.showModal());
      dialog.showModal();
      field.select();
    });
}
